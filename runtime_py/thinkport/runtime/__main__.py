"""`python -m thinkport.runtime` is the console command."""

from thinkport.launch import main

if __name__ == "__main__":
    main()
