import Keys
import Testing

@testable import Receipts

/// The chain of the path of tokens is the chain.
struct RunningChainTests {
    @Test func headsAreTheSame() {
        let request = Digest.sha256([1, 2, 3])
        var plain = StreamChain(request: request)
        let running = RunningChain(request: request)
        var all: [UInt8] = []
        for number in 0..<300 {
            let event = [UInt8](repeating: UInt8(number % 251), count: number)
            plain.append(event)
            // In one piece, or in two.
            if number % 2 == 0 {
                running.append(event.span)
            } else {
                running.cover(event.span.extracting(0..<number / 2))
                running.cover(event.span.extracting(number / 2..<number))
                running.end()
            }
            all += event
            #expect(running.head == plain.head)
        }
        #expect(running.count == plain.count && running.response() == Digest.sha256(all))
    }
}
