"""`python -m solver` is `fe2`."""

from solver.cli import main

if __name__ == "__main__":
    main()
