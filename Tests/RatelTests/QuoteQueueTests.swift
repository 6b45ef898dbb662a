import Attestation
import Bytes
import Keys
import Loop
import RATS
import Testing

@testable import RATLS
@testable import Ratel

/// One quote at a time for all who wait, and what becomes of quotes that fail or hang.
struct QuoteQueueTests {
    /// An Attester that a test holds up, breaks and counts.
    private final class Held: Attester {
        private let inner: SimulatedAttester
        let quotes = Locked(0)
        let fails = Locked(false)
        let holds = Locked<[Gate<Bool>]>([])
        /// What was done, in its order: 0 for a quote, and the numbers of credentials.
        let done = Locked<[UInt8]>([])
        let began = Gate<Bool>()
        private let hasBegun = Locked(false)

        init() throws { inner = try SimulatedAttester() }

        var name: String { inner.name }
        var kinds: [EvidenceKind] { inner.kinds }

        func quote(_ challenge: QuoteChallenge) throws(Refusal) -> [Evidence] {
            quotes.withLock { $0 += 1 }
            done.withLock { $0.append(0) }
            let isFirst = hasBegun.withLock { value in
                defer { value = true }
                return !value
            }
            if isFirst { began.open(true) }
            if let hold = holds.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) {
                _ = hold.wait()
            }
            if fails.withLock({ $0 }) {
                throw Refusal(
                    "test.broken", .attestation, field: "device", expected: "a quote",
                    got: "none", remedy: "none")
            }
            return try inner.quote(challenge)
        }

        func activate(_ credential: CredentialChallenge) throws(Refusal) -> [UInt8] {
            done.withLock { $0 += credential.idObject }
            return credential.idObject
        }
    }

    /// Hands outcomes to whoever waits for them, off any loop.
    private final class Caller: Sendable {
        let mailbox: Mailbox
        private let worker: Worker

        init() {
            let gate = Gate<Mailbox>()
            worker = Worker {
                let loop = EventLoop(bufferCount: 2)
                gate.open(loop.mailbox)
                loop.run()
            }
            mailbox = gate.wait()
        }

        func end() {
            mailbox.post { [mailbox] in mailbox.close() }
            worker.join()
        }
    }

    private func job(
        _ attester: any Attester, _ keys: BindingKeys, _ number: UInt8
    ) -> QuoteJob {
        QuoteJob(
            attestation: .init(attester: attester, bindingKeys: keys),
            work: .quote(base: [UInt8](repeating: number, count: 64)))
    }

    private func credential(
        _ attester: any Attester, _ keys: BindingKeys, _ number: UInt8
    ) -> QuoteJob {
        QuoteJob(
            attestation: .init(attester: attester, bindingKeys: keys),
            work: .activate(.init(idObject: [number], encryptedSecret: [])))
    }

    private func submit(
        _ queue: QuoteQueue, _ job: QuoteJob, _ caller: Caller, of host: [UInt8] = [1],
        isWanted: @escaping @Sendable () -> Bool = { true }
    ) -> Gate<Result<QuoteJob.Outcome, Refusal>> {
        let gate = Gate<Result<QuoteJob.Outcome, Refusal>>()
        queue.submit(job, of: host, isWanted: isWanted, to: caller.mailbox) { gate.open($0) }
        return gate
    }

    private func code(_ outcome: Result<QuoteJob.Outcome, Refusal>) -> String {
        if case .failure(let refusal) = outcome { refusal.code } else { "good" }
    }

    private func keys() throws -> BindingKeys { try BindingKeys(clock: { 1 }) }

    @Test func whoeverWaitsSharesTheNextQuote() throws {
        let (attester, keys, caller) = (try Held(), try keys(), Caller())
        defer { caller.end() }
        let hold = Gate<Bool>()
        attester.holds.withLock { $0 = [hold] }
        let queue = QuoteQueue()
        let first = submit(queue, job(attester, keys, 0), caller)
        _ = attester.began.wait()
        let others = (1...100).map { submit(queue, job(attester, keys, UInt8($0)), caller) }
        // One of a side with other keys shares nothing, and one that left gets nothing.
        let stranger = submit(queue, job(attester, try self.keys(), 200), caller)
        _ = submit(queue, job(attester, keys, 201), caller, isWanted: { false })
        hold.open(true)
        #expect(code(first.wait()) == "good")
        #expect(others.allSatisfy { code($0.wait()) == "good" })
        #expect(code(stranger.wait()) == "good")
        #expect(attester.quotes.withLock { $0 } == 3)
        #expect(queue.quotes.now == 3 && queue.served.now == 102)
    }

    @Test func theQueueHasItsLimits() throws {
        let (attester, keys, caller) = (try Held(), try keys(), Caller())
        defer { caller.end() }
        let hold = Gate<Bool>()
        attester.holds.withLock { $0 = [hold] }
        var limits = QuoteQueue.Limits()
        limits.capacity = 4
        limits.capacityOfCaller = 3
        let queue = QuoteQueue(limits)
        let first = submit(queue, job(attester, keys, 0), caller)
        _ = attester.began.wait()
        let mine = (1...3).map { submit(queue, job(attester, keys, $0), caller) }
        #expect(code(submit(queue, job(attester, keys, 4), caller).wait()) == "attester.busy")
        let others = submit(queue, job(attester, keys, 5), caller, of: [2])
        let late = submit(queue, job(attester, keys, 6), caller, of: [2])
        #expect(code(late.wait()) == "attester.busy")
        hold.open(true)
        for gate in [first, others] + mine { #expect(code(gate.wait()) == "good") }
        // There is room again.
        #expect(code(submit(queue, job(attester, keys, 7), caller).wait()) == "good")
    }

    @Test func aFailureIsOfItsBatchAlone() throws {
        let (attester, keys, caller) = (try Held(), try keys(), Caller())
        defer { caller.end() }
        let hold = Gate<Bool>()
        attester.holds.withLock { $0 = [hold] }
        attester.fails.withLock { $0 = true }
        let queue = QuoteQueue()
        let first = submit(queue, job(attester, keys, 0), caller)
        _ = attester.began.wait()
        hold.open(true)
        #expect(code(first.wait()) == "test.broken")
        #expect(queue.trouble?.code == "test.broken")
        attester.fails.withLock { $0 = false }
        #expect(code(submit(queue, job(attester, keys, 1), caller).wait()) == "good")
        #expect(queue.trouble == nil)
    }

    @Test func aQuoteThatHangsIsLeftBehind() throws {
        let (attester, keys, caller) = (try Held(), try keys(), Caller())
        defer { caller.end() }
        var limits = QuoteQueue.Limits()
        limits.deadline = 50
        limits.hanging = 2
        limits.backOff = 1
        let queue = QuoteQueue(limits)
        let holds = [Gate<Bool>(), Gate<Bool>()]
        attester.holds.withLock { $0 = holds }
        for number: UInt8 in [0, 1] {
            let hung = submit(queue, job(attester, keys, number), caller)
            #expect(code(hung.wait()) == "attester.hung")
        }
        #expect(queue.trouble?.code == "attester.hung")
        // Two hang: the device is asked no more until one of them returns.
        #expect(
            code(submit(queue, job(attester, keys, 2), caller).wait()) == "attester.hung")
        #expect(attester.quotes.withLock { $0 } == 2)
        holds[0].open(true)
        var last = "attester.hung"
        for number in 3...60 where last != "good" {
            last = code(submit(queue, job(attester, keys, UInt8(number)), caller).wait())
        }
        #expect(last == "good")
        holds[1].open(true)
    }

    @Test func quotesHaveTheirRate() throws {
        let (attester, keys, caller) = (try Held(), try keys(), Caller())
        defer { caller.end() }
        var limits = QuoteQueue.Limits()
        limits.burst = 3
        // Ten minutes for each: the fourth comes in no test.
        limits.interval = 600_000
        let queue = QuoteQueue(limits)
        for number: UInt8 in 0..<3 {
            #expect(code(submit(queue, job(attester, keys, number), caller).wait()) == "good")
        }
        let fourth = submit(queue, job(attester, keys, 3), caller)
        #expect(fourth.wait(milliseconds: 200) == nil)
        #expect(attester.quotes.withLock { $0 } == 3)
    }

    /// Each takes the device for one peer alone: they hold up neither quotes nor other peers.
    @Test func credentialsTakeTurns() throws {
        let (attester, keys, caller) = (try Held(), try keys(), Caller())
        defer { caller.end() }
        let hold = Gate<Bool>()
        attester.holds.withLock { $0 = [hold] }
        let queue = QuoteQueue()
        let first = submit(queue, job(attester, keys, 0), caller)
        _ = attester.began.wait()
        var gates = (1...4).map { submit(queue, credential(attester, keys, $0), caller) }
        gates.append(submit(queue, credential(attester, keys, 9), caller, of: [2]))
        // One that nobody waits for any more is not asked of the device.
        _ = submit(queue, credential(attester, keys, 7), caller, isWanted: { false })
        gates.append(submit(queue, job(attester, keys, 5), caller, of: [2]))
        hold.open(true)
        for gate in [first] + gates { #expect(code(gate.wait()) == "good") }
        #expect(attester.done.withLock { $0 } == [0, 1, 0, 9, 2, 3, 4])
    }

    @Test func otherWorkHasItsTurn() throws {
        let queue = QuoteQueue()
        let done = Gate<Bool>()
        queue.submit { () throws(Refusal) in done.open(true) }
        #expect(done.wait())
    }
}
