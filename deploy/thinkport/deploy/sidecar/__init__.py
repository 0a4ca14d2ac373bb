"""A folder with a server and an artifact that runs where no Python is: for apps in other languages."""
