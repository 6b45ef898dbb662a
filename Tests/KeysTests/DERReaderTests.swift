import Keys
import Testing

struct DERReaderTests {
    private func read(_ bytes: [UInt8]) -> [UInt8]? {
        var reader = DERReader(bytes)
        guard let element = try? reader.next(), reader.isAtEnd else { return nil }
        return element.content
    }

    @Test func lengthsHaveOneForm() {
        #expect(read([4, 0]) == [])
        #expect(read([4, 1, 9]) == [9])
        let long = [UInt8](repeating: 7, count: 128)
        #expect(read([4, 0x81, 0x80] + long) == long)
        let longer = [UInt8](repeating: 7, count: 256)
        #expect(read([4, 0x82, 1, 0] + longer) == longer)
        let longest = [UInt8](repeating: 7, count: 0x10000)
        #expect(read([4, 0x83, 1, 0, 0] + longest) == longest)
        #expect(read([4, 127] + long.dropLast()) == long.dropLast())
        for bytes: [UInt8] in [
            [], [4], [4, 1], [4, 2, 9], [4, 0x80], [4, 0x81], [4, 0x81, 0x7F] + long.dropLast(),
            [4, 0x82, 0, 0x80] + long, [4, 0x83, 0, 1, 0] + longer,
            [4, 0x84, 0, 1, 0, 0] + longest, [4, 0x80, 0, 0], [4, 0x80] + long, [0x1F, 0],
            [0x3F, 1, 1], [4, 0, 0],
        ] {
            #expect(read(bytes) == nil, "\(bytes.prefix(6))")
        }
    }

    @Test func theTagIsTheOneWanted() throws {
        var reader = DERReader([4, 0])
        #expect(throws: KeyError.self) { try reader.next(0x30) }
        var other = DERReader([0x30, 2, 4, 0])
        var inside = try other.next(0x30).inside
        #expect(try inside.next(4).content == [])
        #expect(inside.isAtEnd)
    }
}
