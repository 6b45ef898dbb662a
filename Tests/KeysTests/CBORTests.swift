import Keys
import Testing

struct CBORTests {
    @Test(arguments: [
        "00", "17", "1818", "1903e8", "1a000f4240", "1b000000e8d4a51000", "20", "3903e7", "40",
        "4401020304", "60", "6161", "62c3bc", "80", "83010203", "a0", "a201020304",
        "a56161614161626142616361436164614461656145",
        "f4", "f5", "f6", "c074323031332d30332d32315432303a30343a30305a", "1bffffffffffffffff",
        "3bffffffffffffffff",
    ])
    func deterministicItemsRoundTrip(hex: String) throws {
        let bytes = try #require(Hex.decode(hex))
        #expect(try CBORDecoder.decode(bytes).encoded() == bytes)
    }

    @Test(arguments: [
        ("", CBORError.Reason.truncated), ("1817", .notShortest), ("1900ff", .notShortest),
        ("1a0000ffff", .notShortest), ("1b00000000ffffffff", .notShortest),
        ("580141", .notShortest),
        ("5f42010243030405ff", .indefinite), ("9f01ff", .indefinite), ("bf0102ff", .indefinite),
        ("1c", .indefinite), ("f97e00", .unsupported), ("f7", .unsupported), ("f820", .unsupported),
        ("a201000100", .keyOrder), ("a202000100", .keyOrder), ("61ff", .notText),
        ("0000", .trailingBytes),
        ("4401", .truncated), ("9affffffff", .truncated), ("baffffffff", .truncated),
        ("5bffffffffffffffff", .truncated), ("a101", .truncated),
    ])
    func otherEncodingsAreRefused(hex: String, reason: CBORError.Reason) throws {
        let bytes = try #require(Hex.decode(hex))
        let error = #expect(throws: CBORError.self) { try CBORDecoder.decode(bytes) }
        #expect(error?.reason == reason)
    }

    @Test func nestingAndItemsAreLimited() {
        let deep = [UInt8](repeating: 0x81, count: 40) + [0]
        #expect(throws: CBORError(.tooDeep, offset: 16)) { try CBORDecoder.decode(deep) }
        let count = CBORDecoder.maxItems
        let wide =
            [0x99, UInt8(count >> 8), UInt8(count & 0xFF)] + [UInt8](repeating: 0, count: count)
        let error = #expect(throws: CBORError.self) { try CBORDecoder.decode(wide) }
        #expect(error?.reason == .tooManyItems)
    }

    @Test func theEncoderSortsKeys() {
        let map = CBORValue.fields([(24, .null), (2, .bool(true)), (3, nil)])
        #expect(Hex.encode(map.encoded()) == "a202f51818f6")
    }

    @Test func fieldsRefuseWhatIsNotAnnounced() throws {
        let map = CBORValue.fields([(1, .bytes([1, 2])), (2, .unsigned(5))])
        #expect(throws: CBORError(.unknownField, offset: 2)) {
            try CBORFields(map, allowed: [1])
        }
        let fields = try CBORFields(map, allowed: [1, 2, 3])
        #expect(try fields.bytes(1, count: 2) == [1, 2])
        #expect(throws: CBORError(.wrongType, offset: 1)) { try fields.bytes(1, count: 3) }
        #expect(throws: CBORError(.wrongType, offset: 2)) { try fields.number(2, limit: 4) }
        #expect(throws: CBORError(.missing, offset: 3)) { try fields.text(3) }
    }
}
