import SwiftSyntax

/// Renders a source file with every check made so that it can be switched off by number.
///
/// Text goes in on the line where the check stands, so that lines keep their numbers and an error
/// of the compiler leads back to the mutant.
struct Rewriter {
    /// What is mutated, in the order of the numbers.
    private(set) var mutants: [Mutation] = []
    /// Checks that no mutant can be made of, such as an optional binding.
    private(set) var skipped = 0

    private let file: String
    private let converter: SourceLocationConverter
    private let first: Int
    /// `line:kind` of mutants that did not compile.
    private let refused: Set<String>

    init(file: String, tree: SourceFileSyntax, first: Int, refused: Set<String>) {
        self.file = file
        self.first = first
        self.refused = refused
        converter = SourceLocationConverter(fileName: file, tree: tree)
    }

    /// The text of `node` with its checks made switchable.
    mutating func render(_ node: Syntax) -> String {
        switch node.as(SyntaxEnum.self) {
        case .token(let token): token.description
        case .guardStmt(let statement): render(statement)
        case .ifExpr(let expression): render(expression)
        case .sequenceExpr(let sequence): render(parts: Array(sequence.elements), value: nil)
        case .codeBlockItem(let item): render(item)
        case .whereClause(let clause): render(clause)
        case .functionCallExpr(let call): render(call)
        default: children(node)
        }
    }

    private mutating func children(_ node: Syntax) -> String {
        node.children(viewMode: .sourceAccurate).map { render($0) }.joined()
    }

    // MARK: conditions

    /// A clause of a guard is deleted by being true.
    private mutating func render(_ statement: GuardStmtSyntax) -> String {
        if Shape.traps(statement.body) { return statement.description }
        var text = statement.guardKeyword.description
        for element in statement.conditions {
            if case .expression(let expression) = element.condition {
                text += clause(expression, value: "true")
                text += element.trailingComma?.description ?? ""
            } else {
                skipped += 1
                text += render(Syntax(element))
            }
        }
        return text + statement.elseKeyword.description + render(Syntax(statement.body))
    }

    private mutating func render(_ expression: IfExprSyntax) -> String {
        let refuses = expression.body.statements.last.map(Shape.refuses) ?? false
        let accepts = expression.body.statements.last.map(Shape.accepts) ?? false
        guard refuses || accepts else { return children(Syntax(expression)) }
        var text = expression.ifKeyword.description
        let conditions = Array(expression.conditions)
        var isCovered = false
        for element in conditions {
            guard case .expression(let inner) = element.condition else {
                text += render(Syntax(element))
                continue
            }
            let operands = Shape.parts(inner).filter { Shape.operator($0) == "||" }.count
            if refuses, operands > 0 {
                // Without this operand, the rest still refuses.
                text += clause(inner, value: "false")
                isCovered = conditions.count == 1
            } else if accepts || conditions.count > 1 || Shape.isConjunction(inner) {
                // It would refuse too much, or accept without a look.
                text += clause(inner, value: "true")
            } else {
                text += clause(inner, value: nil)
            }
            text += element.trailingComma?.description ?? ""
        }
        if refuses, !isCovered, let last = conditions.last {
            let end = last.trailingTriviaLength.utf8Length
            let condition = Syntax(expression.conditions)
            if let number = number(condition, "delete", "never", of: expression.body) {
                text = String(text.utf8.dropLast(end)) ?? text
                text += ", !Mutant.isOn(\(number)) "
            }
        }
        text += render(Syntax(expression.body))
        text += expression.elseKeyword?.description ?? ""
        if let rest = expression.elseBody { text += render(Syntax(rest)) }
        return text
    }

    private mutating func render(_ clause: WhereClauseSyntax) -> String {
        clause.whereKeyword.description + self.clause(clause.condition, value: "true")
    }

    /// Predicates of one expression, such as `allSatisfy { … }`.
    private mutating func render(_ call: FunctionCallExprSyntax) -> String {
        if let name = call.calledExpression.as(MemberAccessExprSyntax.self)?.declName.baseName.text,
            ["sorted", "sort"].contains(name)
        {
            return call.description  // Of two equal ones, either may come first.
        }
        // A caller's own mistake, which ends the process: nothing that a peer can send.
        if call.calledExpression.trimmedDescription == "precondition" { return call.description }
        guard let member = call.calledExpression.as(MemberAccessExprSyntax.self),
            ["allSatisfy", "filter", "first"].contains(member.declName.baseName.text)
        else { return children(Syntax(call)) }
        var text = ""
        for child in call.children(viewMode: .sourceAccurate) {
            if let closure = child.as(ClosureExprSyntax.self) {
                text += predicate(closure)
            } else {
                text += render(child)
            }
        }
        return text
    }

    private mutating func predicate(_ closure: ClosureExprSyntax) -> String {
        guard closure.statements.count == 1, let item = closure.statements.first,
            case .expr(let expression) = item.item, !expression.is(IfExprSyntax.self)
        else { return children(Syntax(closure)) }
        return closure.leftBrace.description + (closure.signature?.description ?? "")
            + clause(expression, value: "true") + closure.rightBrace.description
    }

    /// A boolean expression: each operand of it becomes `value`, and each bound moves by one.
    private mutating func clause(_ expression: ExprSyntax, value: String?) -> String {
        render(parts: Shape.parts(expression), value: value)
    }

    private mutating func render(parts: [ExprSyntax], value: String?) -> String {
        if let split = split(parts, at: { Shape.isLoose($0) }) {
            // A ternary or an assignment: what stands between is looked at by itself.
            return split.map { part in
                part.count == 1 && Shape.isLoose(part[0])
                    ? children(Syntax(part[0])) : render(parts: part, value: nil)
            }.joined()
        }
        for (symbol, inner) in [("||", "false"), ("&&", "true")] {
            guard let split = split(parts, at: { Shape.operator($0) == symbol }) else { continue }
            // `true` deletes all of `a || b` and each of `a && b`; `false` the other way round.
            let each = symbol == "&&" || value == inner
            let text = split.map { part in
                part.count == 1 && Shape.operator(part[0]) == symbol
                    ? part[0].description : render(parts: part, value: each ? inner : nil)
            }.joined()
            return each || value == nil ? text : switched(text, parts, by: value)
        }
        return switched(bounds(parts), parts, by: value)
    }

    private func split(
        _ parts: [ExprSyntax], at isBoundary: (ExprSyntax) -> Bool
    ) -> [[ExprSyntax]]? {
        guard parts.count > 1, parts.contains(where: isBoundary) else { return nil }
        var result: [[ExprSyntax]] = [[]]
        for part in parts {
            if isBoundary(part) {
                result += [[part], []]
            } else {
                result[result.count - 1].append(part)
            }
        }
        return result.filter { !$0.isEmpty }
    }

    /// `a < b` is also tried as `a <= b`.
    private mutating func bounds(_ parts: [ExprSyntax]) -> String {
        let text = parts.map { render($0) }
        let turned = ["<": "<=", "<=": "<", ">": ">=", ">=": ">"]
        guard parts.count > 1 else { return text.joined() }
        for (index, part) in parts.enumerated() {
            guard let symbol = Shape.operator(part), let other = turned[symbol] else { continue }
            let words = parts.map(\.description).joined()
            guard let number = number(parts, "bound", words, "\(symbol) as \(other)") else { break }
            var changed = text
            changed[index] = part.description.replacing(symbol, with: other)
            let plain = Wrapped(text.joined(), parts)
            let moved = Wrapped(changed.joined(), parts)
            return plain.before + "(Mutant.isOn(\(number)) ? (" + moved.core + ") : (" + plain.core
                + "))" + plain.after
        }
        return text.joined()
    }

    /// A part of an expression, of which boolean operands are looked at too.
    private mutating func render(_ part: ExprSyntax) -> String {
        guard let tuple = part.as(TupleExprSyntax.self), tuple.elements.count == 1,
            let inner = tuple.elements.first, inner.label == nil
        else { return render(Syntax(part)) }
        return tuple.leftParen.description + clause(inner.expression, value: nil)
            + tuple.rightParen.description
    }

    private mutating func switched(
        _ text: String, _ parts: [ExprSyntax], by value: String?
    ) -> String {
        guard let value else { return text }
        let words = parts.map(\.description).joined()
        guard let number = number(parts, "delete", words, "as \(value)") else { return text }
        let wrapped = Wrapped(text, parts)
        return wrapped.before + "(Mutant.isOn(\(number)) ? \(value) : (" + wrapped.core + "))"
            + wrapped.after
    }

    // MARK: statements

    private mutating func render(_ item: CodeBlockItemSyntax) -> String {
        if let number = statement(item) {
            let wrapped = Wrapped(children(Syntax(item)), Syntax(item))
            return wrapped.before + "if !Mutant.isOn(\(number)) { " + wrapped.core + " }"
                + wrapped.after
        }
        if let value = Shape.answer(item) {
            return render(answer: value, in: item)
        }
        return children(Syntax(item))
    }

    /// A call for its errors alone, or a throw where the function could go on.
    private mutating func statement(_ item: CodeBlockItemSyntax) -> Int? {
        if Shape.isCheckingCall(item) {
            return number(Syntax(item), "call", item.trimmedDescription)
        }
        guard item.item.is(ThrowStmtSyntax.self), !Shape.isConditional(item) else { return nil }
        guard Shape.mayGoOn(item) else {
            skipped += 1
            return nil
        }
        return number(Syntax(item), "throw", item.trimmedDescription)
    }

    /// What a function that gives a Bool gives.
    private mutating func render(answer: ExprSyntax, in item: CodeBlockItemSyntax) -> String {
        guard let statement = item.item.as(ReturnStmtSyntax.self) else {
            return clause(answer, value: "true") + (item.semicolon?.description ?? "")
        }
        return statement.returnKeyword.description + clause(answer, value: "true")
    }

    // MARK: numbers

    private mutating func number(
        _ parts: [ExprSyntax], _ kind: String, _ words: String, _ change: String
    ) -> Int? {
        number(Syntax(parts[0]), kind, words, change)
    }

    private mutating func number(
        _ condition: Syntax, _ kind: String, _ change: String, of body: CodeBlockSyntax
    ) -> Int? {
        number(condition, kind, condition.trimmedDescription, change)
    }

    private mutating func number(
        _ node: Syntax, _ kind: String, _ words: String, _ change: String = "deleted"
    ) -> Int? {
        let line = converter.location(for: node.positionAfterSkippingLeadingTrivia).line
        guard !refused.contains("\(line)") else {
            skipped += 1
            return nil
        }
        let text = words.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        mutants.append(
            Mutation(
                number: first + mutants.count, file: file, line: line, kind: kind, text: text,
                change: change, refusal: Shape.refusal(around: node)))
        return first + mutants.count - 1
    }
}

/// One change, and where it is.
struct Mutation {
    let number: Int
    let file: String
    let line: Int
    let kind: String
    let text: String
    let change: String
    /// What is thrown where the check fails, in the words of the source.
    let refusal: String
}

/// Text, with the blanks and comments around it apart.
private struct Wrapped {
    let before: String
    let core: String
    let after: String

    init(_ text: String, _ parts: [ExprSyntax]) {
        self.init(
            text, parts[0].leadingTriviaLength.utf8Length,
            parts[parts.count - 1].trailingTriviaLength.utf8Length)
    }

    init(_ text: String, _ node: Syntax) {
        self.init(text, node.leadingTriviaLength.utf8Length, node.trailingTriviaLength.utf8Length)
    }

    private init(_ text: String, _ leading: Int, _ trailing: Int) {
        let bytes = Array(text.utf8)
        before = String(decoding: bytes[..<leading], as: UTF8.self)
        core = String(decoding: bytes[leading..<(bytes.count - trailing)], as: UTF8.self)
        after = String(decoding: bytes[(bytes.count - trailing)...], as: UTF8.self)
    }
}
