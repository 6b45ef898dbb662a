internal import Bytes
internal import Keys
internal import Receipts

/// What one event of a streamed answer says that is counted or looked for; no text of it is kept.
struct EventReading {
    /// Where the JSON stands in the event; empty where there is none.
    private(set) var payload = 0..<0
    /// Whether it is `[DONE]`.
    private(set) var isDone = false
    /// The member with the engine's counts, where it has any.
    private(set) var usage: JSONMembers.Member?
    /// Whether there is a list of choices, and whether it has any.
    private(set) var choices: Range<Int>?
    /// The `response` or `message` of other APIs, which may hold the counts.
    private(set) var inner: Range<Int>?
    /// What kind of event it is, in APIs that say so.
    private(set) var type: Range<Int>?
    private(set) var error: Range<Int>?
    private(set) var delta: Range<Int>?

    /// Looks at the event in `range` of `bytes`.
    init(_ bytes: Span<UInt8>, _ range: Range<Int>) {
        guard let payload = EventReading.payload(bytes, range) else { return }
        self.payload = payload
        if bytes.equals(payload, "[DONE]") {
            isDone = true
            return
        }
        var members = JSONMembers(bytes, payload)
        while let member = members.next(bytes) {
            take(member, bytes)
        }
    }

    // By their lengths first: this runs for each member of each token.
    @inline(__always)
    private mutating func take(_ member: JSONMembers.Member, _ bytes: Span<UInt8>) {
        let name = member.name
        switch name.count {
        case 4 where bytes.equals(name, "type"): type = member.value
        case 5 where bytes.equals(name, "usage"): usage = member
        case 5 where bytes.equals(name, "delta"): delta = member.value
        // Some engines say with each event that there is none.
        case 5 where bytes.equals(name, "error"):
            error = bytes.equals(member.value, "null") ? nil : member.value
        case 7 where bytes.equals(name, "choices"): choices = member.value
        case 7 where bytes.equals(name, "message"): inner = member.value
        case 8 where bytes.equals(name, "response"): inner = member.value
        default: break
        }
    }

    /// The value of the event's `data` line.
    private static func payload(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Range<Int>? {
        var start = range.lowerBound
        while start < range.upperBound {
            let end = min(bytes.first(0x0A, from: start) ?? range.upperBound, range.upperBound)
            if end - start > 5, bytes.equals(start..<(start + 5), "data:") {
                var first = start + 5
                if first < end, bytes[first] == 0x20 { first += 1 }
                var last = end
                if last > first, bytes[last - 1] == 0x0D { last -= 1 }
                return first..<last
            }
            start = end + 1
        }
        return nil
    }

    /// Whether it has choices, and so is more than a count.
    func hasChoices(_ bytes: Span<UInt8>) -> Bool {
        guard let choices else { return false }
        // `[]`, with space at most between the two.
        for index in choices {
            let byte = bytes[index]
            if byte != 0x5B, byte != 0x5D, byte != 0x20 { return true }
        }
        return false
    }

    /// The text that it carries in this API; nil where it has no place for any.
    func text(_ bytes: Span<UInt8>, of path: InferencePath) -> ContentMeter.Text? {
        let place =
            switch path {
            case .chat, .completions: choices
            case .messages, .responses: delta
            case .embeddings: Range<Int>?.none
            }
        guard let place, !place.isEmpty else { return nil }
        guard bytes[place.lowerBound] == UInt8(ascii: "\"") else {
            return ContentMeter.text(bytes, place)
        }
        // A delta of the responses API is the text itself.
        var text = ContentMeter.Text()
        text.add(place.lowerBound + 1..<place.upperBound - 1)
        return text
    }

    /// Adds the counts that the event tells to `counts`.
    func count(_ bytes: Span<UInt8>, into counts: inout EngineCounts) {
        if let usage { counts.read(bytes, usage.value) }
        guard let inner else { return }
        var members = JSONMembers(bytes, inner)
        while let member = members.next(bytes) {
            if bytes.equals(member.name, "usage") { counts.read(bytes, member.value) }
        }
    }

    /// Whether a stream of this API ends with this event as it should.
    func isTerminator(_ bytes: Span<UInt8>, of path: InferencePath) -> Bool {
        switch path {
        case .chat, .completions, .embeddings: return isDone
        case .messages:
            return type.map { bytes.equals($0, "\"message_stop\"") } ?? false
        case .responses:
            guard let type else { return false }
            return bytes.equals(type, "\"response.completed\"")
                || bytes.equals(type, "\"response.incomplete\"")
                || bytes.equals(type, "\"response.failed\"")
        }
    }
}

/// The counts of an answer as its engine tells them, the last ones that came.
struct EngineCounts {
    private(set) var usage = Usage.none
    /// Whether the engine said anything.
    private(set) var isKnown = false

    /// Takes a `usage` object of any of the APIs; what it does not have stays as it was.
    mutating func read(_ bytes: Span<UInt8>, _ range: Range<Int>) {
        guard !range.isEmpty, bytes[range.lowerBound] == UInt8(ascii: "{") else { return }
        isKnown = true
        var cacheRead: Int64?
        var cacheMade: Int64 = 0
        var members = JSONMembers(bytes, range)
        while let member = members.next(bytes) {
            let (name, value) = (member.name, member.value)
            if bytes.equals(name, "prompt_tokens") || bytes.equals(name, "input_tokens") {
                usage.input = bytes.wholeNumber(value) ?? usage.input
            } else if bytes.equals(name, "completion_tokens")
                || bytes.equals(name, "output_tokens")
            {
                usage.output = bytes.wholeNumber(value) ?? usage.output
            } else if bytes.equals(name, "prompt_tokens_details")
                || bytes.equals(name, "input_tokens_details")
            {
                usage.cached = detail(bytes, value, "cached_tokens") ?? usage.cached
            } else if bytes.equals(name, "completion_tokens_details")
                || bytes.equals(name, "output_tokens_details")
            {
                usage.reasoning = detail(bytes, value, "reasoning_tokens") ?? usage.reasoning
            } else if bytes.equals(name, "cache_read_input_tokens") {
                cacheRead = bytes.wholeNumber(value)
            } else if bytes.equals(name, "cache_creation_input_tokens") {
                cacheMade = bytes.wholeNumber(value) ?? 0
            }
        }
        // Anthropic's API counts what a cache had beside the others.
        if let cacheRead {
            usage.input += cacheRead + cacheMade
            usage.cached = cacheRead
        }
        usage.input = min(usage.input, Usage.max)
        usage.output = min(usage.output, Usage.max)
        usage.cached = min(usage.cached, usage.input)
        usage.reasoning = min(usage.reasoning, usage.output)
    }

    private func detail(
        _ bytes: Span<UInt8>, _ range: Range<Int>, _ wanted: StaticString
    ) -> Int64? {
        guard !range.isEmpty, bytes[range.lowerBound] == UInt8(ascii: "{") else { return nil }
        var members = JSONMembers(bytes, range)
        while let member = members.next(bytes) {
            if bytes.equals(member.name, wanted) { return bytes.wholeNumber(member.value) }
        }
        return nil
    }
}
