# Installs this bundle beside itself, without a network: run install.cmd, or .\install.ps1 -Python C:\path\to\python.exe
param([string]$Python = "")
$ErrorActionPreference = "Continue"
Set-Location -LiteralPath $PSScriptRoot
$env:PYTHONUTF8 = "1"

$wanted = "@PYTHON@ @WHEELS@"
$probe = "import sys, sysconfig; print('%d.%d %s' % (*sys.version_info[:2], sysconfig.get_platform()))"
$candidates = @(@("py", "-@PYTHON@"), @("python"), @("python3"))
if ($Python) { $candidates = @(, @($Python)) }
$found = $null
foreach ($candidate in $candidates) {
    $program = $candidate[0]
    $arguments = @($candidate | Select-Object -Skip 1)
    if (-not (Get-Command $program -ErrorAction SilentlyContinue)) { continue }
    $told = & $program @arguments -c $probe 2>$null
    if ($told -eq $wanted) { $found = $candidate; break }
}
if (-not $found) {
    Write-Host "No Python @PYTHON@ for @WHEELS@ found: install it, or name it: .\install.cmd -Python C:\path\to\python.exe"
    exit 2
}

$program = $found[0]
$arguments = @($found | Select-Object -Skip 1)
& $program @arguments -m venv .venv
if ($LASTEXITCODE) { Write-Host "$program can't make a virtual environment in $PSScriptRoot"; exit 2 }
& .venv\Scripts\python.exe -m pip install --quiet --disable-pip-version-check --no-index --find-links wheels --require-hashes -r requirements.txt
if ($LASTEXITCODE) { Write-Host "The wheels could not be installed: unpack the bundle again, into a folder with a short path"; exit 2 }

& .venv\Scripts\thinkport.exe doctor artifact
if ($LASTEXITCODE -gt 1) { exit $LASTEXITCODE }  # 1 is a warning: it runs
Write-Host "Installed. Next: chat.cmd, or serve.cmd"
exit 0
