internal import Bytes
internal import CUV

/// The one way into an event loop from other threads: jobs run on the loop in the order posted.
@safe
public final class Mailbox: @unchecked Sendable {
    private let handle: UnsafeMutablePointer<uv_async_t>
    private let state = Locked(State())

    private struct State {
        var jobs: [@Sendable () -> Void] = []
        var isClosed = false
    }

    init(loop: UnsafeMutablePointer<uv_loop_t>) {
        unsafe handle = .allocate(capacity: 1)
        unsafe uv_async_init(loop, handle) { handle in
            unsafe Unmanaged<Mailbox>.fromOpaque(handle!.pointee.data)
                ._withUnsafeGuaranteedRef { $0.drain() }
        }
        unsafe handle.pointee.data = Unmanaged.passRetained(self).toOpaque()
    }

    deinit {
        unsafe handle.deallocate()
    }

    /// Runs `job` on the loop soon; answers false, and drops the job, once the loop is closing.
    @discardableResult
    public func post(_ job: @escaping @Sendable () -> Void) -> Bool {
        state.withLock { state in
            guard !state.isClosed else { return false }
            state.jobs.append(job)
            unsafe uv_async_send(handle)
            return true
        }
    }

    /// Lets the loop end when nothing else keeps it; call it on the loop's own thread.
    public func close() {
        let wasOpen = state.withLock { state in
            defer { state.isClosed = true }
            return !state.isClosed
        }
        guard wasOpen else { return }
        unsafe uv_close(
            UnsafeMutableRawPointer(handle).assumingMemoryBound(to: uv_handle_t.self)
        ) { handle in
            unsafe Unmanaged<Mailbox>.fromOpaque(handle!.pointee.data).release()
        }
    }

    private func drain() {
        let jobs = state.withLock { state in
            let jobs = state.jobs
            state.jobs = []
            return jobs
        }
        for job in jobs { job() }
    }
}
