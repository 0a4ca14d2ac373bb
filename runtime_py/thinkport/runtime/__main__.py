"""`python -m thinkport.runtime` is the console command."""

from thinkport.runtime.main import main

if __name__ == "__main__":
    main()
