import SwiftSyntax

/// What the rewriter asks of the tree.
enum Shape {
    /// The elements of a chain of operators, or the expression itself.
    static func parts(_ expression: ExprSyntax) -> [ExprSyntax] {
        expression.as(SequenceExprSyntax.self).map { Array($0.elements) } ?? [expression]
    }

    static func `operator`(_ expression: ExprSyntax) -> String? {
        expression.as(BinaryOperatorExprSyntax.self)?.operator.text
    }

    /// What binds less than `||`.
    static func isLoose(_ expression: ExprSyntax) -> Bool {
        expression.is(UnresolvedTernaryExprSyntax.self) || expression.is(AssignmentExprSyntax.self)
            || ["+=", "|=", "^=", "&="].contains(self.operator(expression) ?? "")
    }

    static func isConjunction(_ expression: ExprSyntax) -> Bool {
        parts(expression).contains { self.operator($0) == "&&" }
    }

    /// A body that ends in a refusal: a throw, false, nil, or a value that is one.
    static func refuses(_ item: CodeBlockItemSyntax) -> Bool {
        if item.item.is(ThrowStmtSyntax.self) { return true }
        guard let words = item.item.as(ReturnStmtSyntax.self)?.expression?.trimmedDescription
        else { return false }
        return words == "false" || words == "nil" || words.contains("refus")
            || words.contains("Refus") || words.contains("fail")
    }

    /// A body that leaves without looking further.
    static func accepts(_ item: CodeBlockItemSyntax) -> Bool {
        guard let statement = item.item.as(ReturnStmtSyntax.self) else {
            return item.item.is(ContinueStmtSyntax.self)
        }
        guard let value = statement.expression else { return true }
        return value.trimmedDescription == "true"
    }

    /// `try f(…)`, whose result nobody uses.
    static func isCheckingCall(_ item: CodeBlockItemSyntax) -> Bool {
        guard case .expr(var expression) = item.item else { return false }
        if let inner = expression.as(UnsafeExprSyntax.self)?.expression { expression = inner }
        guard let call = expression.as(TryExprSyntax.self), call.questionOrExclamationMark == nil,
            call.expression.is(FunctionCallExprSyntax.self)
                || call.expression.is(UnsafeExprSyntax.self)
        else { return false }
        // An initialiser has to call another one.
        guard let list = item.parent?.as(CodeBlockItemListSyntax.self),
            !call.description.contains("self.init(")
        else { return false }
        // The only statement of what gives a value is that value.
        return list.count > 1 || !givesValue(Syntax(list))
    }

    /// A body that ends the process: the caller's own mistake.
    static func traps(_ body: CodeBlockSyntax) -> Bool {
        let words = body.statements.last?.trimmedDescription ?? ""
        return words.hasPrefix("preconditionFailure(") || words.hasPrefix("fatalError(")
    }

    /// A throw that a condition leads to, which is mutated itself.
    static func isConditional(_ item: CodeBlockItemSyntax) -> Bool {
        guard let block = item.parent?.parent, let owner = block.parent else { return false }
        if owner.is(GuardStmtSyntax.self) { return true }
        return owner.as(IfExprSyntax.self).map { Syntax($0.body) == block } ?? false
    }

    /// Whether what follows compiles without this throw.
    static func mayGoOn(_ item: CodeBlockItemSyntax) -> Bool {
        guard let function = enclosingFunction(Syntax(item)) else { return false }
        guard function.signature.returnClause == nil else { return false }
        return true
    }

    /// The expression that a function or property of type Bool gives here.
    static func answer(_ item: CodeBlockItemSyntax) -> ExprSyntax? {
        guard let list = item.parent?.as(CodeBlockItemListSyntax.self),
            givesBool(Syntax(list))
        else { return nil }
        if let value = item.item.as(ReturnStmtSyntax.self)?.expression {
            return isPlain(value) ? value : nil
        }
        guard list.count == 1, case .expr(let value) = item.item,
            isBody(Syntax(list)), isPlain(value)
        else { return nil }
        return value
    }

    private static func isPlain(_ value: ExprSyntax) -> Bool {
        let words = value.trimmedDescription
        return !["true", "false"].contains(words) && !value.is(IfExprSyntax.self)
            && !value.is(SwitchExprSyntax.self)
    }

    private static func isBody(_ list: Syntax) -> Bool {
        guard let owner = list.parent else { return false }
        return owner.is(AccessorBlockSyntax.self)
            || owner.parent?.is(FunctionDeclSyntax.self) ?? false
            || owner.parent?.is(AccessorDeclSyntax.self) ?? false
    }

    private static func givesBool(_ node: Syntax) -> Bool {
        var node = node
        while let parent = node.parent {
            if parent.is(ClosureExprSyntax.self) { return false }
            if let function = parent.as(FunctionDeclSyntax.self) {
                return function.signature.returnClause?.type.trimmedDescription == "Bool"
            }
            if parent.is(InitializerDeclSyntax.self) { return false }
            if let binding = parent.as(PatternBindingSyntax.self) {
                return binding.typeAnnotation?.type.trimmedDescription == "Bool"
            }
            node = parent
        }
        return false
    }

    private static func givesValue(_ list: Syntax) -> Bool {
        guard let owner = list.parent else { return false }
        if owner.is(ClosureExprSyntax.self) || owner.is(AccessorBlockSyntax.self) { return true }
        if owner.is(SwitchCaseSyntax.self) {
            // An arm is the value of its switch, which may be the value of a function.
            var node = owner
            while let parent = node.parent, !parent.is(CodeBlockItemSyntax.self) { node = parent }
            guard let outer = node.parent?.parent?.as(CodeBlockItemListSyntax.self) else {
                return true
            }
            return outer.count == 1 && givesValue(Syntax(outer))
        }
        guard let function = owner.parent?.as(FunctionDeclSyntax.self) else { return false }
        return function.signature.returnClause != nil
    }

    private static func enclosingFunction(_ node: Syntax) -> FunctionDeclSyntax? {
        var node = node
        while let parent = node.parent {
            if parent.is(ClosureExprSyntax.self) || parent.is(InitializerDeclSyntax.self) {
                return nil
            }
            if let function = parent.as(FunctionDeclSyntax.self) { return function }
            node = parent
        }
        return nil
    }

    /// The first words of the refusal that belongs to a check.
    static func refusal(around node: Syntax) -> String {
        var node: Syntax? = node
        while let here = node {
            var body: CodeBlockSyntax?
            if let statement = here.as(GuardStmtSyntax.self) { body = statement.body }
            if let statement = here.as(IfExprSyntax.self) { body = statement.body }
            if let last = body?.statements.last { return words(last.trimmedDescription) }
            if here.is(CodeBlockItemSyntax.self) { return words(here.trimmedDescription) }
            node = here.parent
        }
        return ""
    }

    private static func words(_ text: String) -> String {
        let line = text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        return String(line.prefix(90))
    }
}
