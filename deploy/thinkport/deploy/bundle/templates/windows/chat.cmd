@echo off
if not exist "%~dp0.venv\Scripts\thinkport.exe" (
    echo Not installed yet: run install.cmd 1>&2
    exit /b 2
)
set PYTHONUTF8=1
"%~dp0.venv\Scripts\thinkport.exe" chat "%~dp0artifact" %*
