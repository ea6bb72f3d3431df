module productionservice.io/e2e/tools/probe

go 1.26.0
