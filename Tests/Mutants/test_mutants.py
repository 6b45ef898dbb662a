"""The rewriter makes of each check what it should, and nothing of what is none."""

import json
import pathlib
import tempfile
import unittest

import mutants

HEAD = "internal import Mutants; "


def rewrite(source):
    """The rewritten text, and the mutants as (kind, text, change)."""
    tool = mutants.build_tool()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        (path / "X.swift").write_text(source)
        (path / "refused").write_text("")
        done = mutants.run([tool, path / "refused", "X.swift"], cwd=path)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        text = (path / "X.swift").read_text().removeprefix(HEAD)
    return text, [(m["kind"], m["text"], m["change"]) for m in lines[:-1]]


class Rewriting(unittest.TestCase):
    def check(self, source, *wanted):
        text, found = rewrite(source)
        self.assertEqual(found, list(wanted))
        return text

    def test_clauses_of_a_guard_are_deleted_one_by_one(self):
        text = self.check(
            "func f() { guard a, b && c, let d = e else { return } }",
            ("delete", "a", "as true"), ("delete", "b", "as true"), ("delete", "c", "as true"),
        )
        self.assertIn("guard (Mutant.isOn(1) ? true : (a)), ", text)
        self.assertIn("(Mutant.isOn(2) ? true : (b)) && (Mutant.isOn(3) ? true : (c)), let", text)

    def test_either_of_a_guard_is_one_clause(self):
        self.check(
            "func f() { guard a || b else { return } }", ("delete", "a || b", "as true")
        )

    def test_each_reason_of_a_refusal_is_deleted(self):
        self.check(
            "func f() throws { if a || b { throw c } }",
            ("delete", "a", "as false"), ("delete", "b", "as false"),
        )
        text = self.check("func f() throws { if a { throw c } }", ("delete", "a", "never"))
        self.assertIn("if a, !Mutant.isOn(1) { throw c }", text)

    def test_bounds_move(self):
        text = self.check(
            "func f() { guard a <= b else { return } }",
            ("bound", "a <= b", "<= as <"), ("delete", "a <= b", "as true"),
        )
        self.assertIn("(Mutant.isOn(1) ? (a < b) : (a <= b))", text)

    def test_calls_for_their_errors_are_deleted(self):
        text = self.check(
            "func f() throws { try g()\nx = try h()\n_ = 1 }", ("call", "try g()", "deleted")
        )
        self.assertIn("if !Mutant.isOn(1) { try g() }", text)
        self.check("func f() throws -> Int { try g() }")
        self.check("func f() throws -> Int { switch a { case b: try g() } }")

    def test_answers_become_yes(self):
        self.check(
            "var x: Bool { a == b && c }",
            ("delete", "a == b", "as true"), ("delete", "c", "as true"),
        )
        self.check("var x: Int { a == b }")

    def test_a_caller_s_own_mistake_is_none(self):
        self.check("func f() { precondition(a && b)\nguard c else { preconditionFailure() } }")


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=0).result
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed")
