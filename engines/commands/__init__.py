"""The subcommands of `python -m engines`: modules with add_arguments(parser) and run(args)."""
