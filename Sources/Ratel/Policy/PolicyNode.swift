internal import Keys
internal import RATS
internal import Yams

/// One place in a policy or another YAML file, read strictly: unknown keys and other types are
/// refused by line.
struct PolicyNode {
    /// What kind of file it is: the first part of its refusals' codes.
    enum Document: String {
        case policy, proxy, template, offers, router

        var remedy: String {
            switch self {
            case .policy: "correct the policy"
            case .proxy, .template, .offers, .router: "correct the file"
            }
        }
    }

    let node: Node
    let path: String
    var document = Document.policy

    /// The values of a mapping by key; each key must be among `required` or `optional`, once.
    func fields(
        required: [String],
        optional: [String] = []
    ) throws(Refusal) -> [String: PolicyNode] {
        let entries = try entries()
        var fields: [String: PolicyNode] = [:]
        for (key, value) in entries {
            guard required.contains(key) || optional.contains(key) else {
                throw value.refusal(
                    code("key.unknown"),
                    expected: (required + optional).joined(separator: ", "),
                    got: key
                )
            }
            fields[key] = value
        }
        for key in required where fields[key] == nil {
            throw refusal(
                code("key.missing"),
                expected: "the key `\(key)`",
                got: "none",
                remedy: "write it; what does not matter is written `any`"
            )
        }
        return fields
    }

    /// Keys and values of a mapping, in order.
    func entries() throws(Refusal) -> [(String, PolicyNode)] {
        guard case .mapping(let mapping) = node else { throw wrongType("a mapping") }
        var entries: [(String, PolicyNode)] = []
        for (key, value) in mapping {
            guard case .scalar(let name) = key else { throw wrongType("plain keys") }
            let inner = path.isEmpty ? name.string : "\(path).\(name.string)"
            guard !entries.contains(where: { $0.0 == name.string }) else {
                throw refusal(code("key.duplicate"), expected: "each key once", got: name.string)
            }
            entries.append((name.string, PolicyNode(node: value, path: inner, document: document)))
        }
        return entries
    }

    /// The items of a sequence.
    func items() throws(Refusal) -> [PolicyNode] {
        guard case .sequence(let sequence) = node else { throw wrongType("a list") }
        return sequence.enumerated().map {
            PolicyNode(node: $1, path: "\(path)[\($0)]", document: document)
        }
    }

    /// The entries of a sequence, each with a name of its own.
    ///
    /// Errors: `….list.too_long` beyond `limit` of them, and `….name.duplicate`, which expects
    /// what `each` says.
    func list<Entry>(
        atMost limit: Int, name: (Entry) -> String, each: String = "one name each",
        _ read: (PolicyNode) throws(Refusal) -> Entry
    ) throws(Refusal) -> [Entry] {
        var found: [Entry] = []
        var names: Set<String> = []
        for item in try items() {
            guard found.count < limit else {
                throw item.refusal(
                    code("list.too_long"), expected: "at most \(limit)", got: "more")
            }
            let entry = try read(item)
            guard names.insert(name(entry)).inserted else {
                throw item.refusal(code("name.duplicate"), expected: each, got: name(entry))
            }
            found.append(entry)
        }
        return found
    }

    /// The characters of a scalar.
    func text() throws(Refusal) -> String {
        guard case .scalar(let scalar) = node else { throw wrongType("one value") }
        return scalar.string
    }

    /// A name for logs, metrics and references.
    func name() throws(Refusal) -> String {
        let name = try text()
        let allowed = name.utf8.allSatisfy {
            switch $0 {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"),
                UInt8(ascii: "."):
                true
            default: false
            }
        }
        guard allowed, (1...64).contains(name.utf8.count) else {
            throw refusal(
                code("value.refused"), expected: "1 to 64 letters, digits, `-`, `_` or `.`",
                got: name)
        }
        return name
    }

    /// The word of a scalar, if it is one of these.
    func word<Word: RawRepresentable & CaseIterable>(
        _ type: Word.Type
    ) throws(Refusal) -> Word where Word.RawValue == String {
        let text = try text()
        guard let word = Word(rawValue: text) else {
            let words = Word.allCases.map(\.rawValue).joined(separator: " or ")
            throw refusal(code("value.refused"), expected: words, got: text)
        }
        return word
    }

    /// A whole number within `range`.
    func integer(_ range: ClosedRange<UInt64>) throws(Refusal) -> UInt64 {
        let text = try text()
        guard let value = UInt64(text), range.contains(value) else {
            throw refusal(
                code("value.refused"),
                expected: "\(range.lowerBound) to \(range.upperBound)",
                got: text
            )
        }
        return value
    }

    /// `true` or `false`, in these letters.
    func flag() throws(Refusal) -> Bool {
        switch try text() {
        case "true": return true
        case "false": return false
        case let other:
            throw refusal(code("value.refused"), expected: "true or false", got: other)
        }
    }

    /// Seconds, written as `300s`, `5m` or `1h`; up to a day.
    func seconds() throws(Refusal) -> UInt32 {
        let text = try text()
        let units: [Character: UInt32] = ["s": 1, "m": 60, "h": 3600]
        if let unit = text.last.flatMap({ units[$0] }), let count = UInt32(text.dropLast()),
            count <= 86_400 / unit
        {
            return count * unit
        }
        if text == "0" { return 0 }
        throw refusal(code("value.refused"), expected: "a time such as 300s", got: text)
    }

    /// Bytes in hexadecimal, one of `sizes` long.
    func bytes(_ sizes: [Int]) throws(Refusal) -> [UInt8] {
        let text = try text()
        guard let bytes = Hex.decode(text), sizes.contains(bytes.count) else {
            let digits = sizes.map { "\($0 * 2)" }.joined(separator: " or ")
            throw refusal(code("value.refused"), expected: "\(digits) hex digits", got: text)
        }
        return bytes
    }

    /// `any`, or a list of values, or one value.
    func reference(_ sizes: [Int]) throws(Refusal) -> ReferenceValue {
        if isAny { return .any }
        if node.scalar != nil { return .oneOf([try bytes(sizes)]) }
        var values: [[UInt8]] = []
        for item in try items() { values.append(try item.bytes(sizes)) }
        return .oneOf(values)
    }

    /// Whether the place says `any`, which nothing else implies.
    var isAny: Bool {
        if case .scalar(let scalar) = node { scalar.string == "any" } else { false }
    }

    /// Whether the place has a list.
    var isList: Bool {
        if case .sequence = node { true } else { false }
    }

    /// A value to compare JSON with: quoted is text, plain is what YAML 1.2 makes of it.
    func json() throws(Refusal) -> JSONValue {
        guard case .scalar(let scalar) = node else { throw wrongType("one value") }
        if scalar.style == .plain {
            switch scalar.string {
            case "true": return .bool(true)
            case "false": return .bool(false)
            case "null": return .null
            default:
                let parsed = JSONParser.parse(Array(scalar.string.utf8))
                if case .number = parsed { return parsed ?? .null }
            }
        }
        return .string(scalar.string)
    }

    /// Everything here and below as JSON. Errors: a key twice, an alias.
    func tree() throws(Refusal) -> JSONValue {
        switch node {
        case .mapping:
            var members: [JSONValue.Member] = []
            for (name, value) in try entries() {
                members.append(JSONValue.Member(name, try value.tree()))
            }
            return .object(members)
        case .sequence:
            var values: [JSONValue] = []
            for item in try items() { values.append(try item.tree()) }
            return .array(values)
        case .scalar, .alias: return try json()
        }
    }

    func wrongType(_ expected: String) -> Refusal {
        let got =
            switch node {
            case .mapping: "a mapping"
            case .sequence: "a list"
            case .scalar(let scalar): scalar.string
            case .alias: "an alias"
            }
        return refusal(code("value.refused"), expected: expected, got: got)
    }

    func refusal(
        _ code: String,
        expected: String,
        got: String,
        remedy: String? = nil
    ) -> Refusal {
        let line = node.mark.map { " (line \($0.line))" } ?? ""
        return Refusal(
            code,
            .configuration,
            field: (path.isEmpty ? document.rawValue : path) + line,
            expected: expected,
            got: got,
            remedy: remedy ?? document.remedy
        )
    }

    /// A code of this kind of file.
    func code(_ name: String) -> String { "\(document.rawValue).\(name)" }

    /// The root of the one YAML document in `bytes`, of at most `maxSize` of them.
    static func read(
        _ bytes: [UInt8], as document: Document, maxSize: Int
    ) throws(Refusal) -> PolicyNode {
        func malformed(_ got: String) -> Refusal {
            Refusal(
                "\(document.rawValue).malformed",
                .configuration,
                field: document.rawValue,
                expected: "one YAML document",
                got: got,
                remedy: document.remedy
            )
        }
        guard bytes.count <= maxSize else { throw malformed("over \(maxSize) bytes") }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw malformed("bytes that are not UTF-8")
        }
        do {
            guard let node = try Yams.compose(yaml: text) else { throw malformed("nothing") }
            return PolicyNode(node: node, path: "", document: document)
        } catch let refusal as Refusal {
            throw refusal
        } catch {
            throw malformed("\(error)")
        }
    }
}
