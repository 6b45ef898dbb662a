import Keys
import Testing

/// The wider rules, for documents that others made.
struct CBORAnyOrderTests {
    private func read(_ bytes: [UInt8]) throws(CBORError) -> CBORValue {
        try CBORDecoder.decode(bytes, rules: .anyOrder)
    }

    @Test func keysMayStandInAnyOrder() throws {
        let map: [UInt8] = [0xA2, 0x02, 0x01, 0x01, 0x02]
        let value = try read(map)
        #expect(value.entries?.map(\.key) == [.unsigned(2), .unsigned(1)])
        #expect(throws: CBORError.self) { try CBORDecoder.decode(map) }
    }

    @Test func lengthsOfMapsAndArraysMayBeLeftOpen() throws {
        #expect(try read([0x9F, 0x01, 0x9F, 0xFF, 0xFF]) == .array([.unsigned(1), .array([])]))
        #expect(try read([0xBF, 0x01, 0x02, 0xFF]) == .fields([(1, .unsigned(2))]))
        for bytes: [UInt8] in [[0x9F, 0xFF], [0xBF, 0xFF]] {
            #expect(throws: CBORError.self) { try CBORDecoder.decode(bytes) }
        }
    }

    /// `[]` and `[_ ]` are one key: both in one map are that key twice.
    @Test func aKeyWrittenInTwoWaysIsOneKey() {
        for bytes: [UInt8] in [
            [0xA2, 0x80, 0x00, 0x9F, 0xFF, 0x01],
            [0xA2, 0xA2, 0x01, 0x00, 0x02, 0x00, 0x00, 0xA2, 0x02, 0x00, 0x01, 0x00, 0x01],
        ] {
            let error = #expect(throws: CBORError.self) { try read(bytes) }
            #expect(error?.reason == .keyOrder)
        }
    }

    @Test func nothingElseIsLoosened() {
        let refused: [([UInt8], CBORError.Reason)] = [
            ([0xA2, 0x01, 0x01, 0x01, 0x02], .keyOrder),
            ([0xBF, 0x01, 0x01, 0x01, 0x02, 0xFF], .keyOrder), ([0x9F], .truncated),
            ([0xBF, 0x01], .truncated), ([0xBF, 0x01, 0xFF], .unsupported),
            ([0xFF], .unsupported), ([0x9F, 0xFF, 0xFF], .trailingBytes),
            ([0x18, 0x01], .notShortest), ([0x5F, 0xFF], .indefinite),
            ([0x7F, 0xFF], .indefinite), ([UInt8](repeating: 0x9F, count: 32), .tooDeep),
            ([0x9F] + [UInt8](repeating: 0, count: 1 << 15) + [0xFF], .tooManyItems),
        ]
        for (bytes, reason) in refused {
            let error = #expect(throws: CBORError.self) { try read(bytes) }
            #expect(error?.reason == reason)
        }
    }
}
