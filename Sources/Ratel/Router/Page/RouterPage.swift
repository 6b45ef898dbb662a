internal import HTTP
internal import Keys
internal import Ledger
internal import Loop
internal import RATS
internal import Receipts
internal import Streams

/// What an operator looks at, on the admin listener: one page, its two files, and what it asks for
/// each second. Nothing of it is of a prompt, and nobody who called is named.
struct RouterPage {
    private let router: RouterState
    private let readiness: [(name: String, trouble: String?)]

    /// Receipts that one search shows; a longer beginning of the id finds fewer.
    private static let maxFound = 20
    /// Of an id: `gen-` and 24 hexadecimal digits, with room for other routers' on one ledger.
    private static let maxId = 64

    init(_ router: RouterState, _ readiness: [(name: String, trouble: String?)]) {
        self.router = router
        self.readiness = readiness
    }

    /// Nil where the path is none of these.
    func page(_ head: RequestHead, on loop: EventLoop) -> AdminPage? {
        guard head.path == "/ui" || head.path.hasPrefix("/ui/") else { return nil }
        guard RouterPage.isAddress(head.host) else { return .refused(.hostRefused) }
        switch head.path {
        case "/ui":
            // Files of this listener alone, and nothing that stands in the page itself.
            return .ready(
                AdminDocument(
                    "text/html; charset=utf-8", PageDocument.text,
                    allowing: "; script-src 'self'; style-src 'self'; connect-src 'self'"))
        case "/ui/page.css":
            return .ready(AdminDocument("text/css; charset=utf-8", PageStyle.text))
        case "/ui/page.js":
            return .ready(
                AdminDocument(
                    "text/javascript; charset=utf-8", PageScript.text + PageScript.parts))
        case "/ui/state":
            return .ready(AdminDocument(RouterView(router, readiness).json))
        case "/ui/receipts":
            return .asked { reply in find(head.query("id") ?? "", on: loop, reply) }
        default: return nil
        }
    }

    /// Whether a browser came by an address, and not by a name: whoever owns a name can have it
    /// lead here, and read what there is from a page of theirs.
    private static func isAddress(_ host: String?) -> Bool {
        guard let host = host?.lowercased(), let url = WebAddress("http://\(host)/") else {
            return false
        }
        return url.host == "localhost" || url.address.isNumeric
    }

    private func find(_ prefix: String, on loop: EventLoop, _ reply: LocalReply) {
        let isId = prefix.utf8.allSatisfy {
            switch $0 {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"):
                true
            default: false
            }
        }
        guard isId, (1...RouterPage.maxId).contains(prefix.utf8.count) else {
            return reply.refuse(.idRefused)
        }
        let (bound, mailbox) = (LoopBound(reply), loop.mailbox)
        router.book.desk.run { (ledger) throws(LedgerError) in
            // One more than is shown tells that there are more.
            try ledger.receipts(withPrefix: prefix, limit: RouterPage.maxFound + 1)
        } then: { outcome in
            mailbox.post { RouterPage.tell(outcome, bound.value) }
        }
    }

    private static func tell(
        _ outcome: Result<[SignedStatement], LedgerError>, _ reply: LocalReply
    ) {
        guard case .success(let found) = outcome else { return reply.refuse(.ledgerUnavailable) }
        reply.send(
            AdminDocument(
                .members([
                    ("receipts", .array(found.prefix(maxFound).map(\.json))),
                    ("are_all", .bool(found.count <= maxFound)),
                ])))
    }
}

extension Failure {
    fileprivate static let hostRefused = Failure(
        status: 421, code: "ui.host", message: "the page is asked for by another name",
        stage: "request", field: "Host", expected: "an IP address, or localhost",
        got: "something else", remedy: "forward the port: `ssh -L` or `kubectl port-forward`")

    fileprivate static let idRefused = Failure(
        status: 400, code: "ui.receipts.id", message: "that is no beginning of an id",
        stage: "request", field: "id", expected: "1 to 64 letters, digits and -",
        got: "something else", remedy: "take the X-Ratel-Receipt-Id of an answer")
}
