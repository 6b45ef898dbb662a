internal import Appraisal
internal import Loop
internal import RATLS
internal import RATS

/// Runs appraisals off the event loops, with the collateral that they need.
final class Appraisals: Sendable {
    /// Nil where nothing but what peers staple is used.
    let store: EndorsementStore?
    /// Results that need not be worked out again.
    let cache = AppraisalCache()

    /// How often one appraisal waits: for what the Evidence needs, then for what that needs.
    static let waits = 2

    init(store: EndorsementStore?) { self.store = store }

    private enum Pass<Outcome: Sendable>: Sendable {
        case done(Result<Outcome, Refusal>)
        case waits(for: [CollateralNeed], left: Int)
    }

    /// Appraises `job` and hands its outcome to `completion` on `loop`; what is missing is fetched
    /// first, once.
    func run<Job: Appraisable>(
        _ job: Job, on loop: EventLoop,
        then completion: @escaping (Result<Job.Outcome, Refusal>) -> Void
    ) {
        run(job, waits: Appraisals.waits, on: loop, then: completion)
    }

    private func run<Job: Appraisable>(
        _ job: Job, waits: Int, on loop: EventLoop,
        then completion: @escaping (Result<Job.Outcome, Refusal>) -> Void
    ) {
        loop.offload({ [self] in attempt(job, waits: waits) }) { [self] pass in
            switch pass {
            case .done(let outcome): completion(outcome)
            case .waits(let needs, let left):
                obtain(needs, for: job, waits: left, on: loop, then: completion)
            }
        }
    }

    /// The same in place, for commands that do nothing else meanwhile.
    func runBlocking<Job: Appraisable>(_ job: Job) -> Result<Job.Outcome, Refusal> {
        var waits = Appraisals.waits
        while true {
            switch attempt(job, waits: waits) {
            case .done(let outcome): return outcome
            case .waits(let needs, let left):
                let gate = Gate<Bool>()
                store?.obtain(needs) { gate.open(true) }
                _ = gate.wait()
                waits = left
            }
        }
    }

    private func obtain<Job: Appraisable>(
        _ needs: [CollateralNeed], for job: Job, waits: Int, on loop: EventLoop,
        then completion: @escaping (Result<Job.Outcome, Refusal>) -> Void
    ) {
        let bound = LoopBound((loop: loop, completion: completion))
        let mailbox = loop.mailbox
        store?.obtain(needs) { [self] in
            mailbox.post { [self] in
                let (loop, completion) = bound.value
                run(job, waits: waits, on: loop, then: completion)
            }
        }
    }

    private func attempt<Job: Appraisable>(_ job: Job, waits: Int) -> Pass<Job.Outcome> {
        guard let store else { return .done(job.run(endorsements: nil, cache: cache)) }
        let needs = job.needs(roots: store.roots)
        if needs.isEmpty { return .done(job.run(endorsements: nil, cache: cache)) }
        let stock = store.stock(needs, stapled: job.endorsements)
        if waits > 0, !stock.missing.isEmpty {
            return .waits(for: stock.missing, left: waits - 1)
        }
        let outcome = job.run(endorsements: stock.endorsements, cache: cache)
        guard case .failure(let refusal) = outcome else { return .done(outcome) }
        return .done(.failure(refusal.explained(by: stock)))
    }
}

extension Refusal {
    /// The same refusal; where collateral was missing, with why there was none.
    func explained(by stock: EndorsementStore.Stock) -> Refusal {
        let codes = [
            "dcap.collateral.missing", "snp.crl.missing", "snp.key.missing", "snp.root.unknown",
        ]
        guard codes.contains(code), !stock.missing.isEmpty else { return self }
        let names = stock.missing.map(\.description).joined(separator: ", ")
        let why =
            stock.trouble.isEmpty ? "no source has it" : stock.trouble.joined(separator: "; ")
        return Refusal(
            code, stage, kind: kind, field: field, expected: expected,
            got: "none for \(names): \(why)",
            remedy: "name a source with --pcs, --kds or --collateral, or have the peer staple it")
    }
}
