internal import Appraisal
internal import Bytes
internal import Keys
internal import Logging
internal import Loop
internal import RATS
internal import Streams

/// Replaces the policy in force as a whole when its file, or a file that it names, has changed.
///
/// A policy that cannot be used changes nothing: the old one stays, and that is said aloud.
final class PolicyWatch: Sendable {
    private let source: PolicySource
    private let channel: Channel
    private let expireAdmissions: @Sendable (_ cutting: Failure?) -> Void
    private let logger: Logger
    private let state = Locked(State())
    private let lastFailure = LastFailure()

    private struct State {
        var reloads = 0
        var failures = 0
        var lastWarning: Int64 = 0
    }

    /// Seconds between two warnings of one tolerance: a day.
    private static let warningInterval: Int64 = 24 * 3_600

    /// `expireAdmissions` is called when the policy was replaced; links end at once where the new
    /// one says `on_change: close`.
    init(
        _ source: PolicySource, channel: Channel, logger: Logger,
        expireAdmissions: @escaping @Sendable (_ cutting: Failure?) -> Void
    ) {
        self.source = source
        self.channel = channel
        self.expireAdmissions = expireAdmissions
        self.logger = logger
    }

    /// How often the policy was replaced, and how often that failed.
    var counts: (reloads: Int, failures: Int) { state.withLock { ($0.reloads, $0.failures) } }

    /// Seconds until the first tolerance ends; nil where none is near.
    var firstEnd: Int64? {
        let now = System.now
        return channel.policy.endingTolerances(at: now).first.map { $0.until - now }
    }

    /// Reads the policy and puts it in force if it is another one; blocks for the disk.
    ///
    /// The digest covers every file that the policy names, so that it alone says what changed.
    func check(isAsked: Bool) {
        warn()
        let policy: AppraisalPolicy
        do throws(Refusal) {
            policy = try PolicyLoader.load(path: source.path)
        } catch {
            return fail("\(error)", isAsked)
        }
        let old = channel.policy
        guard policy.digest != old.digest else {
            lastFailure.clear()
            if isAsked { logger.notice("the policy is as it was") }
            return
        }
        guard policy.isAnonymous == old.isAnonymous else {
            return fail(
                "`peers: anonymous` cannot come or go while connections stand: restart", isAsked)
        }
        channel.replace(policy)
        lastFailure.clear()
        expireAdmissions(policy.onChange == .close ? .policyReplaced : nil)
        state.withLock {
            $0.reloads += 1
            $0.lastWarning = 0
        }
        logger.notice(
            "policy replaced",
            metadata: [
                "file": "\(source.path)", "sha384": "\(Hex.encode(policy.digest))",
                "before": "\(Hex.encode(old.digest))",
            ])
        source.announce(policy, logger)
        warn()
    }

    private func fail(_ why: String, _ isAsked: Bool) {
        guard lastFailure.isToTell(why, isAsked: isAsked) else { return }
        state.withLock { $0.failures += 1 }
        logger.error(
            "the policy was not replaced; the old one stays in force",
            metadata: ["file": "\(source.path)", "why": "\(why)"])
    }

    private func warn() {
        let now = System.now
        let isDue = state.withLock { state in
            guard now - state.lastWarning >= PolicyWatch.warningInterval else { return false }
            state.lastWarning = now
            return true
        }
        guard isDue else { return }
        for tolerance in channel.policy.endingTolerances(at: now) {
            logger.warning(
                "the policy will refuse more from a date on that is near",
                metadata: ["what": "\(tolerance)"])
        }
    }
}
