"""The command line: the runtime's verbs and their options."""
