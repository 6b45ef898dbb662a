internal import Bytes

/// What the bodies of questions may take together while they are read, by the lengths that their
/// heads declare: many that hold back their ends would otherwise have the kernel end this process,
/// and pods that ask for the sidecar are refused until it is back.
///
/// Pods are small, and whoever floods this is mostly elsewhere than the API server. So the last
/// third is for small questions alone, and nobody has more than a quarter of it all.
final class ReviewBudget: Sendable {
    /// Bytes: sixteen of the largest questions, and a fifth of the 256 MiB that the chart gives the
    /// container. At rest the process has 40 MiB, its 1,000 connections have 30 and their buffers
    /// 17, and one question that is parsed has 20: 155 MiB with this.
    static let total = 48 << 20
    /// Of one caller's host: four of the largest.
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
            guard ReviewBudget.fits(bytes, beside: state.taken, in: ReviewBudget.total),
                ReviewBudget.fits(bytes, beside: own, in: ReviewBudget.ofOneCaller)
            else { return nil }
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

    private static func fits(_ bytes: Int, beside taken: Int, in room: Int) -> Bool {
        taken + bytes <= (bytes > small ? room * 2 / 3 : room)
    }
}
