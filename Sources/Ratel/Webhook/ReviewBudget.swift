internal import Bytes

/// What the bodies of questions may take together while they are read, by the lengths that their
/// heads declare: many that hold back their ends would otherwise have the kernel end this process,
/// and pods that ask for the sidecar are refused until it is back.
///
/// Pods are small, and whoever floods this is mostly elsewhere than the API server. So nobody has
/// more than a quarter of it all, nor more than is left free: n that take what they can leave one
/// part in n + 1 to a caller that has nothing yet. The last third of each share is for small
/// questions alone.
final class ReviewBudget: Sendable {
    /// Bytes: sixteen of the largest questions, and a fifth of the 256 MiB that the chart gives the
    /// container. At rest the process has 40 MiB, its 1,000 connections have 30 and their buffers
    /// 17, and one question that is parsed has 10: 145 MiB with this.
    static let total = 48 << 20
    /// Of one caller's host: two of the largest, and small ones beside them.
    static let ofOneCaller = total / 4
    /// Questions up to this are small: a pod has 5 to 30 KiB.
    static let small = 128 << 10
    /// What a question takes beside its body: its head of 16 KiB, and a stream's state.
    static let least = 16 << 10

    private struct State {
        var taken = 0
        var byCaller: [[UInt8]: Int] = [:]
    }

    private let state = Locked(State())

    /// Takes what a body of so many bytes costs; nil where there is no room for it.
    func take(_ length: Int, of caller: [UInt8]) -> Int? {
        let bytes = max(length, ReviewBudget.least)
        return state.withLock { state in
            let own = state.byCaller[caller] ?? 0
            let share = min(ReviewBudget.ofOneCaller, ReviewBudget.total - state.taken)
            guard own + bytes <= (bytes > ReviewBudget.small ? share * 2 / 3 : share) else {
                return nil
            }
            state.taken += bytes
            state.byCaller[caller] = own + bytes
            return bytes
        }
    }

    /// Gives back what `take` answered.
    func giveBack(_ bytes: Int, of caller: [UInt8]) {
        state.withLock { state in
            state.taken -= bytes
            let rest = (state.byCaller[caller] ?? 0) - bytes
            // Callers are forgotten with their last question.
            state.byCaller[caller] = rest > 0 ? rest : nil
        }
    }
}
