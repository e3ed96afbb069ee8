"""The commands of `python3 -m todo`, each with its line of help."""

COMMANDS = {
    "add": "Add something to do",
    "done": "Mark it as done",
}
