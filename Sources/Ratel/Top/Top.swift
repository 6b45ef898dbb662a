internal import Keys
internal import Loop
internal import RATS

/// `ratel top`: what a router's page shows, in a terminal.
public enum Top {
    /// Milliseconds between two tables.
    private static let period: UInt32 = 1_000
    /// Bytes of a state: 512 providers with 16 models each, at half a kilobyte an offer.
    private static let maxState = 4 << 20

    /// Shows the router of the setting `admin` until the process is ended, or `once`; answers the
    /// exit status.
    public static func run(
        _ source: ConfigurationSource, once: Bool
    ) throws(ConfigurationError) -> Int32 {
        let text = source["admin"] ?? "127.0.0.1:9090"
        let address = try SettingValue.address(text, setting: "admin")
        guard case .ip = address, address.isLoopback,
            let url = WebAddress("http://\(address)/ui/state")
        else {
            throw ConfigurationError(
                "--admin: expected HOST:PORT of this machine, got \(text); forward the port of "
                    + "another, by `ssh -L` or `kubectl port-forward`")
        }
        var last: JSONValue?
        while true {
            let found = ask(url)
            if case .success(let state) = found { last = state }
            if once {
                guard case .failure(let trouble) = found else {
                    show(last, nil, of: address)
                    return 0
                }
                System.writeError("ratel: \(trouble)")
                return 1
            }
            var trouble: String?
            if case .failure(let failure) = found { trouble = failure.description }
            show(last, trouble, of: address)
            System.sleep(milliseconds: period)
        }
    }

    private static func ask(_ url: WebAddress) -> Result<JSONValue, Fetch.Failure> {
        var fetch = Fetch(url: url, anchors: [])
        fetch.limit = maxState
        return fetch.run().flatMap { answer in
            guard answer.status == 200 else {
                return .failure(
                    Fetch.Failure(
                        description: "\(url): expected the state of a `ratel route`, got status "
                            + "\(answer.status): is this its --admin?"))
            }
            guard let state = JSONParser.parse(answer.body), state["providers"]?.items != nil else {
                return .failure(Fetch.Failure(description: "\(url): no state of a router"))
            }
            return .success(state)
        }
    }

    private static func show(_ state: JSONValue?, _ trouble: String?, of address: Address) {
        let terminal = System.terminal
        let isPlain = System.environment("NO_COLOR").map { !$0.isEmpty } ?? false
        let isDumb = System.environment("TERM") == "dumb"
        let screen = Screen(
            columns: terminal?.columns, lines: terminal?.lines,
            hasColours: terminal != nil && !isPlain && !isDumb)
        let lines = TopView(state, trouble, of: "\(address)", on: screen).lines
        // A terminal is drawn over from its upper left corner, and what is below is wiped away.
        let isDrawnOver = terminal != nil && !isDumb
        System.writeOutput(
            (isDrawnOver ? "\u{1B}[H\u{1B}[2J" : "") + lines.joined(separator: "\n") + "\n")
    }
}

/// What is drawn on: as wide and as high as it is, with colours or without.
struct Screen {
    /// Nil where nothing is cut off.
    let columns: Int?
    let lines: Int?
    let hasColours: Bool

    enum Colour: Int {
        case bold = 1, quiet = 2
        case red = 31, green = 32, yellow = 33
    }

    func paint(_ text: String, _ colour: Colour?) -> String {
        guard hasColours, let colour, !text.isEmpty else { return text }
        return "\u{1B}[\(colour.rawValue)m\(text)\u{1B}[0m"
    }
}
