/// One listener on one worker, as the plan in force has it; its connections may outlive it there.
final class ListenerView {
    private let site: ProxySite
    private let key: String
    /// The listener as the plan that was looked at last had it.
    private var last: ListenerState
    private var seen: ProxyPlan

    init(_ listener: ListenerState, at site: ProxySite) {
        self.site = site
        key = listener.settings.key
        last = listener
        seen = site.plan
    }

    var listener: ListenerState {
        if site.plan !== seen {
            seen = site.plan
            if let found = seen.listeners[key] { last = found }
        }
        return last
    }
}
