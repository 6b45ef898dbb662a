public import Bytes
internal import CUV

/// One libuv event loop with the buffers that its sockets share; everything made on it stays on the
/// thread that runs it.
@safe
public final class EventLoop {
    /// The slab that every socket of this loop reads into and writes from.
    public let buffers: BufferPool
    /// What its sockets cost.
    public let traffic = LoopTraffic()
    /// Bytes of messages that wait on this loop outside the slab, for who keeps them to bound.
    public var keptBytes = 0
    /// How other threads reach this loop.
    public let mailbox: Mailbox

    let handle: UnsafeMutablePointer<uv_loop_t>
    private var starved: [Socket] = []
    private let starvation: UnsafeMutablePointer<uv_timer_t>
    private var isStarvationTimerRunning = false
    private var followers: [Borrowed<LoopFollower>?] = []
    private var gather: Gather
    // Both sides of the wait for events: what a timer asks for must not wait for one.
    private let beforeWait: UnsafeMutablePointer<uv_prepare_t>
    private let afterWait: UnsafeMutablePointer<uv_check_t>
    let ticks: TickClock

    /// Makes a loop that lends at most `bufferCount` buffers of `BufferPool.bufferSize` bytes, and
    /// that delays what comes by at most `gather` microseconds while many streams are active.
    public init(bufferCount: Int, gather: UInt64 = 0) {
        self.gather = Gather(microseconds: gather)
        unsafe handle = .allocate(capacity: 1)
        unsafe precondition(uv_loop_init(handle) == 0, "no event loop: out of descriptors?")
        buffers = BufferPool(capacity: bufferCount)
        unsafe mailbox = Mailbox(loop: handle)
        unsafe starvation = .allocate(capacity: 1)
        unsafe uv_timer_init(handle, starvation)
        unsafe beforeWait = .allocate(capacity: 1)
        unsafe afterWait = .allocate(capacity: 1)
        unsafe ticks = TickClock(loop: handle)
        unsafe uv_prepare_init(handle, beforeWait)
        unsafe uv_check_init(handle, afterWait)
        unsafe beforeWait.pointee.data = Unmanaged.passUnretained(self).toOpaque()
        unsafe afterWait.pointee.data = Unmanaged.passUnretained(self).toOpaque()
        unsafe uv_prepare_start(beforeWait) { handle in
            unsafe Unmanaged<EventLoop>.fromOpaque(handle!.pointee.data)
                ._withUnsafeGuaranteedRef { loop in
                    loop.tellFollowers()
                    loop.traffic.waits.add(1)
                    if loop.gather.restBeforeWait(now: loop.now) { loop.traffic.rests.add(1) }
                }
        }
        unsafe uv_check_start(afterWait) { handle in
            unsafe Unmanaged<EventLoop>.fromOpaque(handle!.pointee.data)
                ._withUnsafeGuaranteedRef { $0.tellFollowers() }
        }
        // Neither keeps the loop alive.
        unsafe uv_unref(
            UnsafeMutableRawPointer(beforeWait).assumingMemoryBound(to: uv_handle_t.self))
        unsafe uv_unref(
            UnsafeMutableRawPointer(afterWait).assumingMemoryBound(to: uv_handle_t.self))
    }

    /// Milliseconds of the loop's clock, taken once per iteration.
    @inline(__always)
    public var now: UInt64 { unsafe uv_now(handle) }

    /// Runs until nothing is left to wait for, then frees the loop.
    ///
    /// The mailbox keeps a loop alive until `Mailbox.close()`.
    public func run() {
        unsafe uv_run(handle, UV_RUN_DEFAULT)
        unsafe EventLoop.close(starvation)
        unsafe EventLoop.close(beforeWait)
        unsafe EventLoop.close(afterWait)
        ticks.close()
        unsafe uv_run(handle, UV_RUN_DEFAULT)
        unsafe precondition(uv_loop_close(handle) == 0, "a handle was left open on its loop")
        unsafe starvation.deallocate()
        unsafe beforeWait.deallocate()
        unsafe afterWait.deallocate()
        unsafe handle.deallocate()
    }

    @unsafe private static func close<Handle>(_ handle: UnsafeMutablePointer<Handle>) {
        unsafe uv_close(
            UnsafeMutableRawPointer(handle).assumingMemoryBound(to: uv_handle_t.self), nil)
    }

    /// Runs one iteration, waiting for an event when `waiting`; for tests and measurements.
    public func turn(waiting: Bool = true) {
        unsafe uv_run(handle, waiting ? UV_RUN_ONCE : UV_RUN_NOWAIT)
    }

    /// Runs `work` on libuv's thread pool and `completion` with its result on this loop.
    public func offload<Result: Sendable>(
        _ work: @escaping @Sendable () -> Result, then completion: @escaping (Result) -> Void
    ) {
        let job = OffloadedWork(work: work, completion: completion)
        let request = UnsafeMutablePointer<uv_work_t>.allocate(capacity: 1)
        unsafe request.pointee.data = Unmanaged.passRetained(job as AnyOffloadedWork).toOpaque()
        let status = unsafe uv_queue_work(
            handle, request,
            { request in
                unsafe Unmanaged<AnyOffloadedWork>.fromOpaque(request!.pointee.data)
                    ._withUnsafeGuaranteedRef { $0.perform() }
            },
            { request, _ in
                let job = unsafe Unmanaged<AnyOffloadedWork>.fromOpaque(request!.pointee.data)
                    .takeRetainedValue()
                unsafe request!.deallocate()
                job.complete()
            })
        precondition(status == 0, "libuv's thread pool refused work")
    }

    // MARK: One pass per wake-up

    /// Tells `follower` once, when all that the loop woke up for is done.
    ///
    /// It is not kept alive: who goes before that calls `forget`.
    public func afterEvents(tell follower: LoopFollower) {
        guard follower.place < 0 else { return }
        follower.place = followers.count
        followers.append(Borrowed(follower))
    }

    /// Does not tell `follower` after all.
    public func forget(_ follower: LoopFollower) {
        guard follower.place >= 0 else { return }
        followers[follower.place] = nil
        follower.place = -1
    }

    private func tellFollowers() {
        guard !followers.isEmpty else { return }
        var index = 0
        // What one of them brings about for another is told in the same pass.
        while index < followers.count {
            let next = followers[index]
            next?.with { follower in
                follower.place = -1
                follower.eventsAreDone()
            }
            index += 1
        }
        followers.removeAll(keepingCapacity: true)
    }

    /// Counts a stream among those that are active when it moves for the first time in a while.
    @inline(__always)
    public func streamMoved(last: UInt64, now: UInt64) {
        if Gather.isNewEpoch(last, now) { gather.count(now: now) }
    }

    // MARK: Exhausted buffers

    /// Remembers a socket that stopped reading because no buffer was left.
    ///
    /// 5 ms: short beside a token's pace (20 ms at 50 tokens/s), long beside a loop turn.
    func rememberStarved(_ socket: Socket) {
        starved.append(socket)
        guard !isStarvationTimerRunning else { return }
        isStarvationTimerRunning = true
        unsafe starvation.pointee.data = Unmanaged.passUnretained(self).toOpaque()
        unsafe uv_timer_start(
            starvation,
            { timer in
                unsafe Unmanaged<EventLoop>.fromOpaque(timer!.pointee.data)
                    ._withUnsafeGuaranteedRef { $0.feedStarved() }
            }, 5, 5)
    }

    private func feedStarved() {
        starved.removeAll { $0.isClosing }
        // Writers need buffers too: a socket resumes only when a tenth of the slab is free again.
        guard starved.isEmpty || buffers.available > buffers.capacity / 10 else { return }
        isStarvationTimerRunning = false
        unsafe uv_timer_stop(starvation)
        let waiting = starved
        starved = []
        for socket in waiting where !socket.isClosing { socket.didRegainBuffers() }
    }
}

private class AnyOffloadedWork {
    func perform() {}
    func complete() {}
}

private final class OffloadedWork<Result: Sendable>: AnyOffloadedWork {
    private let work: @Sendable () -> Result
    private let completion: (Result) -> Void
    private var result: Result?

    init(work: @escaping @Sendable () -> Result, completion: @escaping (Result) -> Void) {
        self.work = work
        self.completion = completion
    }

    override func perform() { result = work() }

    override func complete() {
        guard let result else { return }
        completion(result)
    }
}
