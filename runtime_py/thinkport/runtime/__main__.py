"""`python -m thinkport.runtime` is the console command."""

from thinkport.runtime.cli.main import main

if __name__ == "__main__":
    main()
