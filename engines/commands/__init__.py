"""The subcommands of `python -m engines`; each module has HELP, add_arguments(parser) and run(args)."""
