internal import Bytes
public import Loop

/// Worker threads, each with an event loop of its own, on which gateways listen.
public final class WorkerGroup: Sendable {
    /// One worker.
    public struct Member: Sendable {
        /// Its place in the group, from 0 on.
        public let index: Int
        /// How other threads reach its loop.
        public let mailbox: Mailbox
        /// Its loop, for jobs that run there.
        public let loop: LoopBound<EventLoop>
        fileprivate let worker: Locked<Worker?>
    }

    /// The workers, in order.
    public let members: [Member]

    /// Starts `count` threads whose loops lend at most `buffers` buffers each, and rest up to
    /// `gather` microseconds while many streams are active.
    public init(count: Int, buffers: Int, gather: UInt64) {
        members = (0..<count).map { index in
            let started = Gate<Member>()
            let worker = Worker {
                let loop = EventLoop(bufferCount: buffers, gather: gather)
                started.open(
                    Member(
                        index: index, mailbox: loop.mailbox, loop: LoopBound(loop),
                        worker: Locked(nil)))
                loop.run()
            }
            let member = started.wait()
            member.worker.withLock { $0 = worker }
            return member
        }
    }

    /// Runs `job` on each worker's loop, and waits until all have.
    public func run(_ job: @escaping @Sendable (Member) -> Void) {
        let gates = members.map { member in
            let gate = Gate<Bool>()
            member.mailbox.post {
                job(member)
                gate.open(true)
            }
            return gate
        }
        for gate in gates { _ = gate.wait() }
    }

    /// Lets the loops end, once nothing is left on them, and waits for it.
    public func stop() {
        for member in members { member.mailbox.post { member.mailbox.close() } }
        for member in members { member.worker.withLock { $0?.join() } }
    }
}
