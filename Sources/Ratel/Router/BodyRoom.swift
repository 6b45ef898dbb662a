/// What the body of one request takes of a worker's room, from when its first byte may come until a
/// provider serves it or it is over.
final class BodyRoom {
    private let site: RouterSite
    private let account: String
    private var bytes: Int

    /// Nil where there is no room for so many bytes.
    init?(_ bytes: Int, of account: String, at site: RouterSite) {
        guard site.take(bytes, of: account) else { return nil }
        self.site = site
        self.account = account
        self.bytes = bytes
    }

    /// It takes no more than this.
    func shrink(to count: Int) {
        guard count < bytes else { return }
        site.giveBack(bytes - count, of: account)
        bytes = count
    }

    deinit { site.giveBack(bytes, of: account) }
}
