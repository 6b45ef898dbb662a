import Bytes
import Testing

@Suite struct BufferPoolTests {
    @Test func lendsUntilExhaustedAndTakesBack() {
        let pool = BufferPool(capacity: 2)
        do {
            let first = pool.lend()
            let second = pool.lend()
            let third = pool.lend()
            let firstMissing = first == nil
            #expect(!firstMissing)
            let secondMissing = second == nil
            #expect(!secondMissing)
            let thirdMissing = third == nil
            #expect(thirdMissing)
            #expect(pool.available == 0)
        }
        #expect(pool.available == 2)
        #expect(pool.lowWater == 0)
    }

    @Test func whatBeginsLeavesHalf() {
        let pool = BufferPool(capacity: 4)
        let first = pool.lendForBeginning()
        let second = pool.lendForBeginning()
        let third = pool.lendForBeginning()
        let lent = [first == nil, second == nil, third == nil]
        #expect(lent == [false, false, true])
        let other = pool.lend()
        let otherMissing = other == nil
        #expect(!otherMissing)
    }

    @Test func windowMovesAsBytesComeAndGo() {
        let pool = BufferPool(capacity: 1)
        var buffer = pool.lend()!
        let text: [UInt8] = Array("hello world".utf8)
        #expect(buffer.append(text.span) == 11)
        buffer.consume(6)
        #expect(buffer.bytes[0] == UInt8(ascii: "w"))
        buffer.move(4..<5, downTo: 1)
        buffer.truncate(to: 2)
        #expect(buffer.count == 2)
        buffer.compact()
        #expect(buffer.start == 0)
        #expect(buffer.bytes[1] == UInt8(ascii: "d"))
    }
}
