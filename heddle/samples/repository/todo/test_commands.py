import unittest

from todo.commands import COMMANDS


class Commands(unittest.TestCase):
    def test_each_command_has_help(self):
        self.assertTrue(all(COMMANDS.values()))
