"""What a build refuses: a code, what was expected, what came, what to do."""

import sys


class Refusal(Exception):
    def __init__(self, code, expected, got, remedy):
        super().__init__(code)
        self.code, self.expected, self.got, self.remedy = code, expected, got, remedy

    def __str__(self):
        return (
            f"REFUSED\n  code      {self.code}\n  expected  {self.expected}\n"
            f"  got       {self.got}\n  remedy    {self.remedy}")


def refusing(main):
    """Runs a program and shows its refusal in place of a stack."""
    try:
        main()
    except Refusal as refusal:
        sys.exit(str(refusal))
