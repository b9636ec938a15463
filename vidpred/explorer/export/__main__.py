from vidpred.explorer.export.site import main

main()
