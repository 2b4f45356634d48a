StandardDescriptors.open()
Command.main()
