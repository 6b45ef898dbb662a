internal import Logging
internal import Loop
internal import Streams

public enum PlainRelay {
    public static func run(listen: UInt16, backend: UInt16) {
        System.ignoreBrokenPipes()
        var settings = GatewaySettings(listen: .ip(host: "127.0.0.1", port: listen))
        settings.workers = 1
        let log = ChannelLog(logger: Logger(label: "x") { _ in LineLogHandler(label: "x", format: .text, level: .debug) }, accessLog: .metadata)
        let gateway = Gateway(settings) { [settings] loop, metrics in
            RelayService(on: loop, metrics: metrics, settings: settings, front: .plain,
                target: UpstreamTarget(address: .ip(host: "127.0.0.1", port: backend), security: .plain), log: log)
        }
        do { try gateway.start() } catch { System.writeError("\(error)"); return }
        let loop = EventLoop(bufferCount: 4)
        let watcher = SignalWatcher(System.terminate, on: loop) { gateway.stop(); System.exit(0) }
        _ = watcher
        loop.run()
    }
}
