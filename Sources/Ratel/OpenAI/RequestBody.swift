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
