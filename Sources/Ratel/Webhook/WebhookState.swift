internal import Bytes
internal import Keys
internal import Logging
internal import Loop
internal import RATS

/// What every worker of the webhook shares: the template in force, the certificate, the counts.
final class WebhookState: Sendable {
    let trust: WebhookTrust
    let log: ChannelLog
    /// Questions by what came of them.
    let outcomes = RefusalCounts()
    let budget = ReviewBudget()
    private let path: String
    private let present: Locked<SidecarTemplate>
    private let lastFailure = LastFailure()

    /// Reads the template at `path`.
    init(path: String, trust: WebhookTrust, log: ChannelLog) throws(ConfigurationError) {
        self.path = path
        self.trust = trust
        self.log = log
        do throws(Refusal) {
            present = Locked(try SidecarTemplateLoader.load(path: path))
        } catch {
            throw ConfigurationError("--template \(path): \(error)")
        }
    }

    /// Answers one question. Throws what cannot be told as an answer to it.
    func answer(_ body: [UInt8]) throws(Refusal) -> [UInt8] {
        let review: AdmissionReview
        do throws(Refusal) {
            review = try AdmissionReview(body)
        } catch {
            outcomes.count("unanswered")
            log.logger.warning("not answered", metadata: ["why": "\(error)"])
            throw error
        }
        let place: Logger.Metadata = [
            "namespace": "\(Refusal.printable(review.namespace))",
            "pod": "\(Refusal.printable(review.name))",
        ]
        do throws(Refusal) {
            let template = present.withLock { $0 }
            let outcome = try PodInjection.inject(template, into: review.pod)
            let isChanged = !outcome.operations.isEmpty
            outcomes.count(isChanged ? "injected" : "unchanged")
            log.logger.info(isChanged ? "injected" : "unchanged", metadata: place)
            return review.answer(outcome)
        } catch {
            outcomes.count("refused")
            log.logger.warning(
                "refused", metadata: place.merging(["why": "\(error)"]) { first, _ in first })
            return review.answer(error)
        }
    }

    /// Reads the template again, and puts it in force if it is another; blocks for the disk.
    func check(isAsked: Bool) {
        do throws(Refusal) {
            let template = try SidecarTemplateLoader.load(path: path)
            let isNew = present.withLock { present in
                defer { present = template }
                return present != template
            }
            lastFailure.clear()
            if isNew {
                log.logger.notice(
                    "template replaced",
                    metadata: [
                        "file": "\(path)", "sha256": "\(Hex.encode(template.digest))",
                    ])
            } else if isAsked {
                log.logger.notice("the template is as it was")
            }
        } catch {
            fail("\(error)", isAsked)
        }
    }

    private func fail(_ why: String, _ isAsked: Bool) {
        guard lastFailure.isToTell(why, isAsked: isAsked) else { return }
        log.logger.error(
            "the template was not replaced; the old one stays in force",
            metadata: ["file": "\(path)", "why": "\(why)"])
    }
}
