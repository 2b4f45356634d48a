import Glibc

func temporaryMain() -> Int32 {
  let arguments = CommandLine.arguments
  if arguments.count > 1, arguments[1] == "worker" { return WorkerProcess.run() }
  let path = arguments.count > 2 ? arguments[2] : "plugins.conf"
  return RunCommand.run(configurationPath: path, listenOverride: arguments.count > 3 ? arguments[3] : nil).rawValue
}
exit(temporaryMain())
