StandardDescriptors.open()
ProcessFileSystem.require()
Command.main()
