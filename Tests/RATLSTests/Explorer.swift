import Attestation
import Keys
import RATS

@testable import Appraisal
@testable import RATLS

/// Walks through every order in which the frames of one connection can reach its two sides.
///
/// A step hands one frame that was ever sent, by either side of this connection or of another one
/// between the same peers, to one of the two sides, or ends a job that runs. So a frame may come
/// late, twice, never, out of order, back to who sent it, or from elsewhere. States that look
/// alike in every part that decides what comes next are entered once.
struct Explorer {
    /// What the verdict of a job is; the real ones, unless a test breaks them.
    var appraise: (AppraisalJob) -> Result<AppraisalJob.Outcome, Refusal> = { $0.run() }
    /// When a side counts as admitted; the real answer, unless a test breaks it.
    var isSettled: (Exchange) -> Bool = { $0.isSettled }
    /// What the policy makes of a peer, for the check of what an admission rests on.
    let client: Wire.Side
    let server: Wire.Side
    /// Frames of another connection between the same peers.
    let foreign: [[UInt8]]
    /// Whether the connection is open, and each side that asks does so again.
    var renews = false

    struct Report {
        var states = 0
        /// Ways in which an undisturbed exchange can run.
        var orders = 0
        var admissions = 0
        var violations: [String] = []
    }

    /// One side, with what runs for it.
    struct Party {
        var exchange: Exchange
        var job: Exchange.Step?
        var end: String?
        /// Of each renewal, what is wrong with it; empty where nothing is.
        var renewals: [String] = []
        /// Everything that was handed over, in order, with where it ends: `frame` is an index into
        /// `State.sent`, or -1 for a frame of another connection.
        var taken: [(frame: Int, isProof: Bool, end: Int)] = []

        /// The last Evidence or lease that the exchange has looked at; nil where there was none.
        var proof: Int? {
            let used = (taken.last?.end ?? 0) - exchange.unread
            return taken.last { $0.isProof && $0.end <= used }?.frame
        }
    }

    struct State {
        var parties: [Role: Party]
        /// Every frame of this connection, with who sent it and for which challenge.
        var sent: [(from: Role, bytes: [UInt8], answers: [UInt8])] = []
        var delivered: [Int] = []
        var trace: [String] = []
    }

    func explore(depth: Int) -> Report {
        var report = Report()
        // How many steps were left when a state was entered before.
        var seen: [String: Int] = [:]
        var start = State(parties: [
            .client: party(client, .client, peer: server),
            .server: party(server, .server, peer: client),
        ])
        for (role, side) in [(Role.client, client), (.server, server)] {
            guard var party = start.parties[role] else { continue }
            let moment = Moment(unix: 1_800_000_000, uptime: side.uptime)
            let challenge =
                renews && asks(role)
                ? party.exchange.ask(side.asks, at: moment, leases: side.leases)
                : party.exchange.start(leases: side.leases)
            start.parties[role] = party
            send(challenge, from: role, &start)
        }
        walk(start, depth, &seen, &report)
        var orders: Set<String> = []
        checkProgress(start, &orders, &report)
        return report
    }

    private func party(_ side: Wire.Side, _ role: Role, peer: Wire.Side) -> Party {
        var counts = ChallengeCounts()
        if renews { (counts.asked, counts.answered) = (1, 1) }
        return Party(
            exchange: Wire.exchange(
                side, role, peer: peer, secret: [4], purpose: renews ? .renewing : .opening,
                counts: counts))
    }

    private func asks(_ role: Role) -> Bool {
        guard case .policy(let policy) = (role == .client ? client : server).asks else {
            return false
        }
        return !policy.isAnonymous
    }

    private func walk(
        _ state: State, _ depth: Int, _ seen: inout [String: Int], _ report: inout Report
    ) {
        let outline = outline(state)
        if let before = seen[outline], before >= depth { return }
        if seen.updateValue(depth, forKey: outline) == nil { report.states += 1 }
        check(state, &report)
        guard depth > 0 else { return }
        for role in Role.allCases where state.parties[role]?.end == nil {
            if state.parties[role]?.job != nil {
                var next = state
                finishJob(role, &next)
                walk(next, depth - 1, &seen, &report)
            }
            for index in state.sent.indices {
                var next = state
                deliver(index, to: role, &next)
                walk(next, depth - 1, &seen, &report)
            }
            for frame in foreign {
                var next = state
                next.trace.append("foreign \(frame[0]) to \(role)")
                take(frame, as: -1, role, &next)
                walk(next, depth - 1, &seen, &report)
            }
        }
    }

    private func deliver(_ index: Int, to role: Role, _ state: inout State) {
        state.trace.append("\(state.sent[index].bytes[0]) of \(state.sent[index].from) to \(role)")
        state.delivered.append(index)
        take(state.sent[index].bytes, as: index, role, &state)
    }

    private func take(_ bytes: [UInt8], as index: Int, _ role: Role, _ state: inout State) {
        guard var party = state.parties[role] else { return }
        let isProof = [Frame.Kind.evidence.rawValue, Frame.Kind.lease.rawValue].contains(bytes[0])
        party.taken.append((index, isProof, (party.taken.last?.end ?? 0) + bytes.count))
        party.exchange.receive(bytes, uptime: 1_000_000)
        state.parties[role] = party
        drive(role, &state)
    }

    private func finishJob(_ role: Role, _ state: inout State) {
        guard var party = state.parties[role] else { return }
        state.trace.append("job of \(role)")
        switch party.job {
        case .quote(let job): party.exchange.quoted(job.run())
        case .appraise(let job): party.exchange.appraised(appraise(job))
        default: break
        }
        party.job = nil
        state.parties[role] = party
        drive(role, &state)
    }

    private func drive(_ role: Role, _ state: inout State) {
        while var party = state.parties[role], party.job == nil, party.end == nil {
            let step = party.exchange.next()
            switch step {
            case .wait:
                state.parties[role] = party
                return
            case .quote, .appraise: party.job = step
            case .settled where renews:
                party.renewals.append(wrong(role, party, state) ?? "")
                _ = party.exchange.admit()
            case .settled: party.end = "settled"
            case .refused(let refusal): party.end = refusal.code
            case .inspected: party.end = "inspected"
            case .send(let bytes):
                state.parties[role] = party
                send(bytes, from: role, &state)
                continue
            }
            state.parties[role] = party
        }
    }

    private func send(_ bytes: [UInt8], from role: Role, _ state: inout State) {
        let challenge = state.parties[role]?.exchange.peerChallenge?.bytes ?? []
        var rest = bytes[...]
        while let frame = try? Frame.decode(rest) {
            state.sent.append((role, frame.encoded, challenge))
            rest = rest.dropFirst(frame.encoded.count)
        }
    }

    /// Nobody is admitted but by the last proof that was handed over, which the peer itself made
    /// on this connection in answer to this side's last challenge, and with a result.
    private func check(_ state: State, _ report: inout Report) {
        for (role, party) in state.parties where asks(role) {
            var found = party.renewals
            if !renews, isSettled(party.exchange) { found = [wrong(role, party, state) ?? ""] }
            report.admissions += found.count
            for wrong in found where !wrong.isEmpty && report.violations.count < 20 {
                report.violations.append(
                    "\(role) admitted with \(wrong): \(state.trace.joined(separator: ", "))")
            }
        }
    }

    private func wrong(_ role: Role, _ party: Party, _ state: State) -> String? {
        guard case .policy(let policy) = (role == .client ? client : server).asks,
            party.exchange.appraisal?.policyDigest == policy.digest
        else { return "no result" }
        guard let proof = party.proof else { return "no proof" }
        if proof < 0 { return "a proof of another connection" }
        if state.sent[proof].from == role { return "its own proof" }
        let isAnswer = state.sent[proof].answers == party.exchange.ownChallengeBytes
        return isAnswer ? nil : "a proof for another challenge"
    }

    /// What became of a side to which nothing more will come.
    private func ending(_ role: Role, _ party: Party) -> String {
        guard renews, party.end == nil else { return party.end ?? "waits" }
        let isDone = party.exchange.isIdle && party.renewals.count == (asks(role) ? 1 : 0)
        return isDone ? "settled" : "waits"
    }

    /// Where every frame comes once and in the order of its direction, both sides reach the end,
    /// however the two directions and the jobs interleave: nobody waits for somebody who waits.
    private func checkProgress(
        _ state: State, _ orders: inout Set<String>, _ report: inout Report
    ) {
        guard orders.insert(outline(state) + " \(state.delivered.sorted())").inserted else {
            return
        }
        var canMove = false
        for role in Role.allCases where state.parties[role]?.end == nil {
            if state.parties[role]?.job != nil {
                canMove = true
                var next = state
                finishJob(role, &next)
                checkProgress(next, &orders, &report)
            }
            let waiting = state.sent.indices.first {
                state.sent[$0].from == role.peer && !state.delivered.contains($0)
            }
            if let waiting {
                canMove = true
                var next = state
                deliver(waiting, to: role, &next)
                checkProgress(next, &orders, &report)
            }
        }
        guard !canMove else { return }
        report.orders += 1
        let ends = Role.allCases.compactMap { role in
            state.parties[role].map { ending(role, $0) }
        }
        if ends != ["settled", "settled"], report.violations.count < 20 {
            report.violations.append(
                "no way on (\(ends)): \(state.trace.joined(separator: ", "))")
        }
    }

    /// Everything of a state that decides what comes next, without the values drawn by lot.
    private func outline(_ state: State) -> String {
        var text = ""
        for role in Role.allCases {
            guard let party = state.parties[role] else { continue }
            let exchange = party.exchange
            text += "\(role) \(exchange.outgoing) \(name(exchange.incoming)) \(party.end ?? "") "
            text += "\(party.job != nil) \(exchange.hasLeased) \(exchange.leases.count) "
            text += "\(exchange.counts) \(exchange.peerChallenge != nil) \(exchange.unread) "
            text += "\(challengeIndex(exchange, state)) \(party.proof ?? -2) \(party.renewals); "
        }
        return text + state.sent.map { "\($0.from)\($0.bytes[0])" }.joined()
    }

    private func challengeIndex(_ exchange: Exchange, _ state: State) -> Int {
        let bytes = exchange.peerChallenge?.bytes
        return state.sent.firstIndex { Array($0.bytes.dropFirst(4)) == bytes } ?? -1
    }

    private func name(_ incoming: Exchange.Incoming) -> String {
        switch incoming {
        case .idle: "idle"
        case .awaitingEvidence: "awaiting"
        case .appraising: "appraising"
        case .awaitingSecret: "secret"
        case .settled: "settled"
        }
    }
}
