internal import Bytes

/// One MessagePack item (github.com/msgpack/msgpack, spec.md) of the kinds that attestations use:
/// no floats, no extensions.
///
/// Refused besides: a key of a map twice or that is not text, text that is not UTF-8, nesting past
/// `maxDepth`, more items than `maxItems`, bytes behind the item.
indirect enum MessagePack: Equatable {
    case null
    case bool(Bool)
    case unsigned(UInt64)
    /// A number below 0.
    case negative(Int64)
    case bytes([UInt8])
    case text(String)
    case array([MessagePack])
    case map([Entry])

    /// One pair of a map.
    struct Entry: Equatable {
        let key: String
        let value: MessagePack
    }

    /// How deep items may nest: an attestation uses 7 (platform, data, event_log, event, digest).
    static let maxDepth = 16
    /// Items of one message: rmp writes bytes as arrays of numbers, and a certificate that carries
    /// them has at most 256 KiB.
    static let maxItems = 256 * 1024

    /// The one item that `bytes` hold; nil where they are none.
    static func decode(_ bytes: [UInt8]) -> MessagePack? {
        var decoder = MessagePackDecoder(reader: Reader(bytes))
        guard let value = decoder.item(depth: 0), decoder.reader.isAtEnd else { return nil }
        return value
    }

    /// The value of the member `key`, or nil if this is no map or has none.
    subscript(_ key: String) -> MessagePack? {
        guard case .map(let entries) = self else { return nil }
        return entries.first { $0.key == key }?.value
    }

    var text: String? { if case .text(let value) = self { value } else { nil } }
    var number: UInt64? { if case .unsigned(let value) = self { value } else { nil } }
    var items: [MessagePack]? { if case .array(let value) = self { value } else { nil } }

    /// Bytes, which rmp also writes as an array of numbers below 256.
    var octets: [UInt8]? {
        switch self {
        case .bytes(let bytes): return bytes
        case .array(let items):
            var bytes: [UInt8] = []
            bytes.reserveCapacity(items.count)
            for item in items {
                guard let byte = item.number.flatMap({ UInt8(exactly: $0) }) else { return nil }
                bytes.append(byte)
            }
            return bytes
        default: return nil
        }
    }
}

private struct MessagePackDecoder {
    var reader: Reader
    var items = 0

    mutating func item(depth: Int) -> MessagePack? {
        items += 1
        guard depth < MessagePack.maxDepth, items <= MessagePack.maxItems,
            let initial = try? reader.u8()
        else { return nil }
        switch initial {
        case 0x00...0x7F: return .unsigned(UInt64(initial))
        case 0x80...0x8F: return map(Int(initial & 15), depth)
        case 0x90...0x9F: return array(Int(initial & 15), depth)
        case 0xA0...0xBF: return text(Int(initial & 31))
        case 0xC0: return .null
        case 0xC2: return .bool(false)
        case 0xC3: return .bool(true)
        case 0xC4...0xC6: return number(1 << (initial - 0xC4)).flatMap { bytes(Int($0)) }
        case 0xCC...0xCF: return number(1 << (initial - 0xCC)).map { .unsigned($0) }
        case 0xD0...0xD3: return signed(1 << (initial - 0xD0))
        case 0xD9...0xDB: return number(1 << (initial - 0xD9)).flatMap { text(Int($0)) }
        case 0xDC...0xDD: return number(2 << (initial - 0xDC)).flatMap { array(Int($0), depth) }
        case 0xDE...0xDF: return number(2 << (initial - 0xDE)).flatMap { map(Int($0), depth) }
        case 0xE0...0xFF: return .negative(Int64(Int8(bitPattern: initial)))
        default: return nil
        }
    }

    private mutating func number(_ size: Int) -> UInt64? {
        guard let bytes = try? reader.take(size) else { return nil }
        return bytes.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    }

    private mutating func signed(_ size: Int) -> MessagePack? {
        guard let value = number(size) else { return nil }
        let shift = UInt64(64 - 8 * size)
        let extended = Int64(bitPattern: value << shift) >> Int64(shift)
        return extended < 0 ? .negative(extended) : .unsigned(UInt64(extended))
    }

    private mutating func bytes(_ count: Int) -> MessagePack? {
        (try? reader.take(count)).map { .bytes($0) }
    }

    private mutating func text(_ count: Int) -> MessagePack? {
        guard let bytes = try? reader.take(count) else { return nil }
        return String(validating: bytes, as: UTF8.self).map { .text($0) }
    }

    // Nothing is set aside for what a count says: one past what is there ends with the bytes.
    private mutating func array(_ count: Int, _ depth: Int) -> MessagePack? {
        var values: [MessagePack] = []
        for _ in 0..<count {
            guard let value = item(depth: depth + 1) else { return nil }
            values.append(value)
        }
        return .array(values)
    }

    private mutating func map(_ count: Int, _ depth: Int) -> MessagePack? {
        var entries: [MessagePack.Entry] = []
        var keys: Set<String> = []
        for _ in 0..<count {
            guard case .text(let key)? = item(depth: depth + 1), keys.insert(key).inserted,
                let value = item(depth: depth + 1)
            else { return nil }
            entries.append(MessagePack.Entry(key: key, value: value))
        }
        return .map(entries)
    }
}
