internal import CUV

/// A timer of one loop, for budgets and periodic work, never for the data path.
@safe
public final class LoopTimer {
    private let handle: UnsafeMutablePointer<uv_timer_t>
    private let fire: () -> Void
    private var isClosed = false

    /// Makes a stopped timer; `close()` it when done.
    public init(on loop: EventLoop, _ fire: @escaping () -> Void) {
        self.fire = fire
        unsafe handle = .allocate(capacity: 1)
        unsafe uv_timer_init(loop.handle, handle)
        unsafe handle.pointee.data = Unmanaged.passRetained(self).toOpaque()
    }

    deinit {
        precondition(isClosed, "a timer was dropped without close()")
        unsafe handle.deallocate()
    }

    /// Fires once after `milliseconds`, then every `interval` when that is not zero.
    public func start(after milliseconds: UInt64, every interval: UInt64 = 0) {
        guard !isClosed else { return }
        unsafe uv_timer_start(
            handle,
            { timer in
                unsafe Unmanaged<LoopTimer>.fromOpaque(timer!.pointee.data)
                    ._withUnsafeGuaranteedRef { timer in
                        if !timer.isClosed { timer.fire() }
                    }
            }, milliseconds, interval)
    }

    /// Whether it will fire.
    public var isRunning: Bool {
        unsafe !isClosed
            && uv_is_active(
                UnsafeMutableRawPointer(handle).assumingMemoryBound(to: uv_handle_t.self)) != 0
    }

    /// Does not fire until it is started again.
    public func stop() {
        guard !isClosed else { return }
        unsafe uv_timer_stop(handle)
    }

    /// Does not keep its loop running on its own.
    public func detach() {
        unsafe uv_unref(UnsafeMutableRawPointer(handle).assumingMemoryBound(to: uv_handle_t.self))
    }

    /// Gives the timer back; safe to call twice.
    public func close() {
        guard !isClosed else { return }
        isClosed = true
        unsafe uv_close(
            UnsafeMutableRawPointer(handle).assumingMemoryBound(to: uv_handle_t.self)
        ) { handle in
            unsafe Unmanaged<LoopTimer>.fromOpaque(handle!.pointee.data).release()
        }
    }
}
