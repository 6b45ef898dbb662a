/// Finds the member `model` of the JSON object that a request body is, as OpenAI's API has it,
/// without waiting for the body's end.
///
/// A value that takes bytes as they come and keeps at most one name of them. It skips what it does
/// not look for by brackets and quotes alone: whether the rest is JSON is for the backend to say.
/// The first `model` of the outermost object counts.
public struct ModelScanner: Sendable {
    /// What is known so far.
    public enum Finding: Sendable, Equatable {
        /// More bytes are needed.
        case pending
        /// The model's name.
        case found(String)
        /// There is none: no object, no such member, or one that is no short text.
        case absent
    }

    /// Bytes of a name, decoded: the longest on the hub is 96 for owner and model together; more is
    /// no name of a route.
    public static let maxName = 256

    /// What was found so far.
    public private(set) var finding = Finding.pending

    private enum State: Sendable {
        case start, keyOrEnd, key, colon, value, model, string, scalar, nested, afterValue
    }

    private enum Escape: Sendable { case none, begun, hex }

    private var state = State.start
    private var escape = Escape.none
    private var digits = 0
    private var unit: UInt32 = 0
    /// A first half of a surrogate pair, which its second has to follow.
    private var high: UInt32 = 0
    private var text: [UInt8] = []
    private var isTooLong = false
    private var isMalformed = false
    private var isModel = false
    private var depth = 0
    private var isInString = false

    /// At the start of a body.
    public init() {}

    /// Takes the next bytes of the content; asks for no more once something is known.
    public mutating func scan(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Finding {
        var index = range.lowerBound
        while index < range.upperBound, finding == .pending {
            take(bytes[index])
            index += 1
        }
        return finding
    }

    private mutating func take(_ byte: UInt8) {
        switch state {
        case .key, .model, .string: return takeText(byte)
        case .nested: return takeNested(byte)
        default: break
        }
        if byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D { return takeSpace() }
        switch (state, byte) {
        case (.start, UInt8(ascii: "{")): state = .keyOrEnd
        case (.keyOrEnd, UInt8(ascii: "\"")): begin(.key)
        case (.colon, UInt8(ascii: ":")): state = .value
        case (.value, UInt8(ascii: "\"")): begin(isModel ? .model : .string)
        case (.value, _) where isModel: finding = .absent
        case (.value, UInt8(ascii: "{")), (.value, UInt8(ascii: "[")):
            state = .nested
            depth = 1
        case (.value, _): state = .scalar
        case (.afterValue, UInt8(ascii: ",")), (.scalar, UInt8(ascii: ",")): state = .keyOrEnd
        case (.scalar, UInt8(ascii: "}")): finding = .absent
        case (.scalar, _): break
        default: finding = .absent
        }
    }

    private mutating func takeSpace() {
        if state == .scalar { state = .afterValue }
    }

    private mutating func begin(_ next: State) {
        state = next
        text.removeAll(keepingCapacity: true)
        isTooLong = false
        isMalformed = false
        high = 0
    }

    private mutating func takeNested(_ byte: UInt8) {
        if isInString {
            if escape == .begun {
                escape = .none
            } else if byte == UInt8(ascii: "\\") {
                escape = .begun
            } else if byte == UInt8(ascii: "\"") {
                isInString = false
            }
            return
        }
        switch byte {
        case UInt8(ascii: "\""): isInString = true
        case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
        case UInt8(ascii: "}"), UInt8(ascii: "]"):
            depth -= 1
            if depth == 0 { state = .afterValue }
        default: break
        }
    }

    // MARK: Text

    private mutating func takeText(_ byte: UInt8) {
        switch escape {
        case .begun: return takeEscape(byte)
        case .hex: return takeDigit(byte)
        case .none: break
        }
        switch byte {
        case UInt8(ascii: "\""): endText()
        case UInt8(ascii: "\\"): escape = .begun
        case 0..<0x20: finding = .absent
        default: append(byte)
        }
    }

    private mutating func takeEscape(_ byte: UInt8) {
        escape = .none
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): append(byte)
        case UInt8(ascii: "b"): append(8)
        case UInt8(ascii: "f"): append(12)
        case UInt8(ascii: "n"): append(10)
        case UInt8(ascii: "r"): append(13)
        case UInt8(ascii: "t"): append(9)
        case UInt8(ascii: "u"):
            escape = .hex
            digits = 0
            unit = 0
        default: isMalformed = true
        }
    }

    private mutating func takeDigit(_ byte: UInt8) {
        guard let digit = Grammar.hexValue(byte) else {
            finding = .absent
            return
        }
        unit = unit << 4 | UInt32(digit)
        digits += 1
        guard digits == 4 else { return }
        escape = .none
        appendUnit()
    }

    private mutating func appendUnit() {
        if high == 0, 0xD800..<0xDC00 ~= unit {
            high = unit
            return
        }
        var scalar = unit
        if high != 0 {
            guard 0xDC00..<0xE000 ~= unit else {
                isMalformed = true
                return
            }
            scalar = 0x10000 + (high - 0xD800) << 10 + (unit - 0xDC00)
            high = 0
        }
        guard let valid = Unicode.Scalar(scalar) else {
            isMalformed = true
            return
        }
        for byte in String(Character(valid)).utf8 { append(byte) }
    }

    private mutating func append(_ byte: UInt8) {
        // Half a pair with something else behind it is no character.
        if high != 0 { isMalformed = true }
        // A string that nobody asked for is skipped.
        guard state != .string else { return }
        guard text.count < ModelScanner.maxName else {
            isTooLong = true
            return
        }
        text.append(byte)
    }

    private mutating func endText() {
        if high != 0 { isMalformed = true }
        switch state {
        case .key:
            isModel = !isTooLong && !isMalformed && text == ModelScanner.name
            state = .colon
        case .model:
            guard !isTooLong, !isMalformed, !text.isEmpty,
                let name = String(validating: text, as: UTF8.self)
            else {
                finding = .absent
                return
            }
            finding = .found(name)
        default: state = .afterValue
        }
    }

    private static let name = Array("model".utf8)
}
