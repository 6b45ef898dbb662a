import FoundationEssentials
import SwiftParser
import SwiftSyntax

/// Rewrites the files of a copied package in place and lists the mutants.
///
///     mutate REFUSED FILE…        one line of JSON per mutant, then one with what was skipped
///
/// REFUSED is a file of lines `FILE:LINE` whose mutants did not compile.
@main enum Mutate {
    static func main() throws {
        let words = Array(CommandLine.arguments.dropFirst())
        guard let list = words.first else { throw CocoaError(.fileNoSuchFile) }
        var refused: [String: Set<String>] = [:]
        for line in try String(contentsOfFile: list, encoding: .utf8).split(separator: "\n") {
            let parts = line.split(separator: ":")
            refused[String(parts[0]), default: []].insert(String(parts[1]))
        }
        var next = 1
        var skipped = 0
        for path in words.dropFirst() {
            let source = try String(contentsOfFile: path, encoding: .utf8)
            let tree = Parser.parse(source: source)
            var rewriter = Rewriter(
                file: path, tree: tree, first: next, refused: refused[path] ?? [])
            let text = rewriter.render(Syntax(tree))
            try ("internal import Mutants; " + text)
                .write(toFile: path, atomically: true, encoding: .utf8)
            for mutant in rewriter.mutants { print(json(mutant)) }
            next += rewriter.mutants.count
            skipped += rewriter.skipped
        }
        print("{\"skipped\": \(skipped)}")
    }

    private static func json(_ mutant: Mutation) -> String {
        let fields = [
            ("file", mutant.file), ("kind", mutant.kind), ("text", mutant.text),
            ("change", mutant.change), ("refusal", mutant.refusal),
        ].map { "\"\($0)\": \"\(escaped($1))\"" }
        return "{\"number\": \(mutant.number), \"line\": \(mutant.line), "
            + fields.joined(separator: ", ") + "}"
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
    }
}
