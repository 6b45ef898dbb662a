internal import Bytes
internal import CUV

/// A thread that runs blocking jobs one after the other, for hardware that serialises anyway.
@safe
public final class JobThread: @unchecked Sendable {
    private let semaphore: UnsafeMutablePointer<uv_sem_t>
    private let jobs = Locked<[@Sendable () -> Void]>([])
    private let capacity: Int

    /// Starts the thread; at most `capacity` jobs wait at a time. It lives as long as the process.
    public init(capacity: Int) {
        self.capacity = capacity
        unsafe semaphore = .allocate(capacity: 1)
        unsafe uv_sem_init(semaphore, 0)
        _ = Worker { self.work() }
    }

    /// Queues `job`; false when too many wait already.
    public func submit(_ job: @escaping @Sendable () -> Void) -> Bool {
        let isAccepted = jobs.withLock { jobs in
            guard jobs.count < capacity else { return false }
            jobs.append(job)
            return true
        }
        if isAccepted { unsafe uv_sem_post(semaphore) }
        return isAccepted
    }

    private func work() {
        while true {
            unsafe uv_sem_wait(semaphore)
            let job = jobs.withLock { $0.isEmpty ? nil : $0.removeFirst() }
            job?()
        }
    }
}
