package import Keys
package import Streams

/// The body of a request to an inference API, as far as it has to be read: the members of its
/// object by name, each value left as it was written.
///
/// A prompt is never made into a value. What is not asked for goes on byte for byte.
package struct RequestBody {
    private let bytes: [UInt8]
    private let members: [(name: String, value: Range<Int>)]

    /// Members of one request: OpenAI's has some forty, and others add to them.
    private static let maxMembers = 256
    /// Bytes of a member that is read: options and lists of names, never prompts.
    private static let maxValue = 64 << 10

    /// Reads where members stand. Errors, each a 400: `request.body.malformed`, and
    /// `request.body.ambiguous` for a name that stands twice or is spelled with escapes, which an
    /// engine might read otherwise than this does.
    package init(_ bytes: [UInt8]) throws(Failure) {
        var found: [(String, Range<Int>)] = []
        var names: Set<String> = []
        var cursor = JSONMembers(bytes.span, 0..<bytes.count)
        while let member = cursor.next(bytes.span) {
            let spelled = bytes[member.name]
            guard !spelled.contains(UInt8(ascii: "\\")),
                let name = String(validating: spelled, as: UTF8.self), names.insert(name).inserted
            else { throw .ambiguousBody }
            guard found.count < RequestBody.maxMembers else { throw .malformedBody }
            found.append((name, member.value))
        }
        guard !cursor.isMalformed else { throw .malformedBody }
        self.bytes = bytes
        members = found
    }

    /// Their names, in order.
    package var names: [String] { members.map(\.name) }

    /// How many bytes the member's value has; nil where there is none.
    package func size(_ name: String) -> Int? { place(name)?.count }

    /// The value of a member; nil where there is none, or where it is no JSON or too large to be
    /// what is meant.
    package subscript(_ name: String) -> JSONValue? {
        guard let place = place(name), place.count <= RequestBody.maxValue else { return nil }
        return JSONParser.parse(Array(bytes[place]))
    }

    /// The same, for what changes who serves or what it costs: nil only where there is none.
    ///
    /// Errors: `request.member.malformed`, a 400. What cannot be read is not left out of account.
    package func demand(_ name: String) throws(Failure) -> JSONValue? {
        guard size(name) != nil else { return nil }
        guard let value = self[name] else { throw .malformedMember(name) }
        return value == .null ? nil : value
    }

    /// A switch; off where it is absent. Errors: `request.member.malformed` for anything but `true`
    /// and `false`: engines take `1` and `"yes"` for true, and would stream without being counted.
    package func flag(_ name: String) throws(Failure) -> Bool {
        switch try demand(name) {
        case nil: return false
        case .bool(let isOn): return isOn
        case .some: throw .malformedMember(name)
        }
    }

    /// A whole number; nil where it is absent. Errors: `request.member.malformed` for any other,
    /// which engines round or read out of text.
    package func wholeNumber(
        _ name: String, _ range: ClosedRange<Int64>
    ) throws(Failure) -> Int64? {
        guard let value = try demand(name) else { return nil }
        guard let number = value.integer, range.contains(Int64(number)) else {
            throw .malformedMember(name, "\(range.lowerBound) to \(range.upperBound)")
        }
        return Int64(number)
    }

    /// How many items a list has at most that is a member's value; nil where it is no list. Nothing
    /// of it is read but brackets, quotes and commas.
    package func items(_ name: String) -> Int? {
        guard let place = place(name), bytes[place.lowerBound] == UInt8(ascii: "[") else {
            return nil
        }
        var (depth, count, isText) = (0, 1, false)
        var index = place.lowerBound
        while index < place.upperBound {
            switch bytes[index] {
            case UInt8(ascii: "\\") where isText: index += 1
            case UInt8(ascii: "\""): isText.toggle()
            case UInt8(ascii: "[") where !isText, UInt8(ascii: "{") where !isText: depth += 1
            case UInt8(ascii: "]") where !isText, UInt8(ascii: "}") where !isText: depth -= 1
            case UInt8(ascii: ",") where !isText && depth == 1: count += 1
            default: break
            }
            index += 1
        }
        return count
    }

    /// The first byte of a list's first item; nil where there is none.
    package func beginningOfItems(_ name: String) -> UInt8? {
        guard let place = place(name) else { return nil }
        return bytes[place].dropFirst().first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
    }

    /// SHA-256 over the first `count` bytes of a member's value: prompts that begin alike.
    package func prefix(_ name: String, _ count: Int) -> [UInt8]? {
        place(name).map { Array(bytes[$0].prefix(count)) }
    }

    private func place(_ name: String) -> Range<Int>? {
        members.first { $0.name == name }?.value
    }

    /// The body with these members set, or left out where the value is nil; all others as they are.
    package func setting(_ changes: [(name: String, value: JSONValue?)]) -> [UInt8] {
        var output: [UInt8] = [UInt8(ascii: "{")]
        output.reserveCapacity(bytes.count + 256)
        func add(_ name: String, _ value: some Sequence<UInt8>) {
            if output.count > 1 { output.append(UInt8(ascii: ",")) }
            output.append(contentsOf: Failure.quoted(name).utf8)
            output.append(UInt8(ascii: ":"))
            output.append(contentsOf: value)
        }
        for (name, place) in members {
            guard let change = changes.first(where: { $0.name == name }) else {
                add(name, bytes[place])
                continue
            }
            if let value = change.value { add(name, value.serialised().utf8) }
        }
        for (name, value) in changes where self.place(name) == nil {
            if let value { add(name, value.serialised().utf8) }
        }
        output.append(UInt8(ascii: "}"))
        return output
    }
}

extension Failure {
    /// Nothing of what was sent is told back, as it may be anything.
    fileprivate static func malformedMember(
        _ name: String, _ expected: String = "JSON of the member's kind, of at most 64 KiB"
    ) -> Failure {
        Failure(
            status: 400, code: "request.member.malformed",
            message: "a member of the body cannot be read", stage: "request", field: name,
            expected: expected, got: "something else",
            remedy: "correct the member, or leave it out")
    }

    fileprivate static let malformedBody = Failure(
        status: 400, code: "request.body.malformed", message: "the body is no JSON object",
        stage: "request", field: "body", expected: "one JSON object of at most 256 members",
        got: "something else", remedy: "send the JSON that OpenAI's API describes")

    fileprivate static let ambiguousBody = Failure(
        status: 400, code: "request.body.ambiguous",
        message: "the body can be read in two ways", stage: "request", field: "body",
        expected: "each name once, spelled without escapes", got: "another",
        remedy: "write each member once, in plain letters")
}
