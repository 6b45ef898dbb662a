"""The rules of tidy.py find what they are for."""

import pathlib
import unittest

import tidy

HTTP = pathlib.Path("Sources/HTTP/X.swift")


class Rules(unittest.TestCase):
    def test_imports_follow_the_arrows(self):
        self.assertFalse(tidy.module_rules(HTTP, "internal import Bytes\n"))
        for line in ["import Loop", "public import struct TLS.X", "@testable import COpenSSL"]:
            self.assertTrue(tidy.module_rules(HTTP, line + "\n"), line)

    def test_unsafe_stands_only_at_the_edges(self):
        for line in [
            "unsafe f()",
            "let x: Unmanaged<A>",
            "x as UnsafePointer<A>",
            "@unchecked Sendable",
        ]:
            self.assertTrue(tidy.module_rules(HTTP, line), line)
            self.assertFalse(tidy.module_rules(pathlib.Path("Sources/TLS/X.swift"), line), line)
        self.assertFalse(tidy.module_rules(HTTP, '// unsafe\nlet x = "unsafe"'))

    def test_only_the_command_prints(self):
        self.assertTrue(tidy.module_rules(HTTP, "print(1)"))
        self.assertFalse(tidy.module_rules(HTTP, "fingerprint(1)"))
        self.assertFalse(
            tidy.module_rules(pathlib.Path("Sources/RatelCommand/X.swift"), "print(1)")
        )

    def test_sizes(self):
        self.assertFalse(tidy.sizes(HTTP, "x" * 100 + "\n" + "y\n" * 399))
        self.assertTrue(tidy.sizes(HTTP, "x" * 101))
        self.assertTrue(tidy.sizes(HTTP, "y\n" * 401))

    def test_words(self):
        for line in ["try! f()", "x as! Y", "import Foundation", "// TO" + "DO: later"]:
            self.assertTrue(tidy.words(HTTP, line), line)
        self.assertFalse(tidy.words(HTTP, "import FoundationEssentials\ntry f()"))

    def test_machine_paths(self):
        self.assertTrue(tidy.places(HTTP, "see /wo" + "rk/main"))
        self.assertFalse(tidy.places(HTTP, "a/work/b ../shared/x"))


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=0).result
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed")
